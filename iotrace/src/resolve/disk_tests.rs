#![allow(clippy::unwrap_used)]
use super::*;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

/// A sysfs and a `/dev` with: vda and two partitions, cciss/c0d0, md0 on vdb1 and vdc, vg-root on md0 and vda2, loop0.
pub(in crate::resolve) struct Host(TempDir);

impl Host {
    /// A sysfs and a `/dev` without devices.
    pub(in crate::resolve) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn new() -> Self {
        let host = Self::empty();
        for (path, number, links) in [
            ("vda", "254:0", &[][..]),
            ("vda/vda1", "254:1", &[]),
            ("vda/vda2", "254:2", &[]),
            ("vdb", "254:16", &[]),
            ("vdb/vdb1", "254:17", &[]),
            ("vdc", "254:32", &[]),
            ("cciss!c0d0", "104:0", &[]),
            ("md0", "9:0", &["vdb/vdb1", "vdc"]),
            ("md0/md0p1", "259:0", &[]),
            ("dm-0", "253:0", &["md0/md0p1", "vda/vda2"]),
            ("loop0", "7:0", &[]),
        ] {
            host.add(path, number, links);
        }
        let dm = host.sys().join("devices/block/dm-0/dm");
        fs::create_dir(&dm).unwrap();
        fs::write(dm.join("name"), "vg-root\n").unwrap();
        // Plain files stand for nodes, which only root may create; `find` then goes by their names.
        fs::create_dir_all(host.dev().join("disk/by-uuid")).unwrap();
        fs::create_dir_all(host.dev().join("mapper")).unwrap();
        fs::write(host.dev().join("vda1"), "").unwrap();
        fs::write(host.dev().join("dm-0"), "").unwrap();
        symlink("../../vda1", host.dev().join("disk/by-uuid/1234-abcd")).unwrap();
        symlink("../dm-0", host.dev().join("mapper/alias")).unwrap();
        host
    }

    pub(in crate::resolve) fn sys(&self) -> PathBuf {
        self.0.path().join("sys")
    }

    fn dev(&self) -> PathBuf {
        self.0.path().join("dev")
    }

    pub(in crate::resolve) fn add(&self, path: &str, number: &str, slaves: &[&str]) {
        let (own, name) = (self.sys().join("devices/block").join(path), path.rsplit('/').next().unwrap());
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("dev"), format!("{number}\n")).unwrap();
        if path.contains('/') {
            fs::write(own.join("partition"), "1\n").unwrap();
        } else {
            fs::create_dir(own.join("slaves")).unwrap();
        }
        for slave in slaves {
            let name = slave.rsplit('/').next().unwrap();
            symlink(Path::new("../..").join(slave), own.join("slaves").join(name)).unwrap();
            let holders = self.sys().join("devices/block").join(slave).join("holders");
            fs::create_dir_all(&holders).unwrap();
            symlink(&own, holders.join(path)).unwrap();
        }
        for (directory, link) in [("dev/block", number), ("class/block", name)] {
            fs::create_dir_all(self.sys().join(directory)).unwrap();
            symlink(Path::new("../../devices/block").join(path), self.sys().join(directory).join(link)).unwrap();
        }
    }

    fn disks(&self) -> Disks {
        Disks::at(&self.sys(), &self.dev())
    }
}

pub(in crate::resolve) fn dev(text: &str) -> u32 {
    let (major, minor) = text.split_once(':').unwrap();
    (major.parse::<u32>().unwrap() << 20) | minor.parse::<u32>().unwrap()
}

#[test]
fn a_partition_names_its_whole_disk() {
    let host = Host::new();
    for (number, name, disk, whole) in [
        ("254:1", "vda1", "vda", "254:0"),
        ("254:0", "vda", "vda", "254:0"),
        ("253:0", "mapper/vg-root", "mapper/vg-root", "253:0"),
        ("259:0", "md0p1", "md0", "9:0"),
        ("104:0", "cciss/c0d0", "cciss/c0d0", "104:0"),
        ("7:0", "loop0", "loop0", "7:0"),
    ] {
        let found = host.disks().of(dev(number)).unwrap();
        assert_eq!(*found, Disk { name: name.into(), disk: disk.into(), whole: dev(whole) }, "{number}");
    }
}

#[test]
fn anonymous_and_missing_devices_have_no_disk_and_that_is_remembered() {
    let host = Host::new();
    let mut disks = host.disks();
    assert_eq!(disks.of(dev("0:42")), None);
    assert_eq!(disks.of(dev("254:48")), None);
    host.add("vdd", "254:48", &[]);
    assert_eq!(disks.of(dev("254:48")), None);
    disks.forget();
    assert_eq!(disks.of(dev("254:48")).unwrap().name, "vdd");
}

#[test]
fn the_cache_has_a_limit() {
    let mut disks = Host::new().disks();
    for minor in 0..3 * CACHE_MAX as u32 {
        disks.of(minor);
    }
    assert!(disks.known.len() <= CACHE_MAX);
}

#[test]
fn find_takes_every_usual_way_to_name_a_disk() {
    let host = Host::new();
    for (name, found) in [
        ("vda", &["254:0", "254:1", "254:2"][..]),
        ("/dev/vda", &["254:0", "254:1", "254:2"]),
        ("vda1", &["254:1"]),
        ("/dev/disk/by-uuid/1234-abcd", &["254:1"]),
        ("disk/by-uuid/1234-abcd", &["254:1"]),
        ("dm-0", &["253:0"]),
        ("mapper/vg-root", &["253:0"]),
        ("/dev/mapper/vg-root", &["253:0"]),
        ("/dev/mapper/alias", &["253:0"]),
        ("cciss/c0d0", &["104:0"]),
        ("md0", &["9:0", "259:0"]),
    ] {
        let expected: Vec<u32> = found.iter().map(|text| dev(text)).collect();
        assert_eq!(host.disks().find(name), Ok(expected), "{name}");
    }
}

#[test]
fn find_refuses_what_is_no_disk() {
    let host = Host::new();
    for name in ["sdz", "", "/dev/", ".", "..", "../sys", "/etc/passwd", "mapper/", "mapper/none", "vda/vda1"] {
        assert_eq!(host.disks().find(name).unwrap_err().to_string(), format!("no disk named {name}: see lsblk"));
    }
}

#[test]
fn below_is_all_down_to_whole_disks() {
    let disks = Host::new();
    let below = |number| disks.disks().below(dev(number)).into_iter().map(dev_text).collect::<Vec<_>>();
    assert_eq!(below("253:0"), ["9:0", "254:0", "254:2", "254:16", "254:17", "254:32", "259:0"]);
    assert_eq!(below("9:0"), ["254:16", "254:17", "254:32"]);
    assert_eq!(below("259:0"), ["254:16", "254:17", "254:32"]);
    assert_eq!(below("254:0"), [""; 0]);
    assert_eq!(below("254:99"), [""; 0]);
}

#[test]
fn holders_are_all_that_stands_on_a_device() {
    let disks = Host::new();
    let host = disks.disks();
    // Whatever stands on a disk or partition has that disk at its bottom.
    let mut seen = 0;
    for bottom in ["254:0", "254:16", "254:32"] {
        let parts = host.find(&host.read(dev(bottom)).unwrap().name).unwrap();
        for holder in parts.iter().flat_map(|part| host.holders(*part)) {
            assert!(host.below(holder).contains(&dev(bottom)), "{} on {bottom}", dev_text(holder));
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen}");
    assert_eq!(host.holders(dev("253:0")), [0; 0]);
}

#[test]
fn numbers_are_in_the_kernels_encoding() {
    assert_eq!(dev_text(dev("254:17")), "254:17");
    assert_eq!(dev_text(u32::MAX), "4095:1048575");
    assert_eq!(dev_of_rdev(libc::makedev(259, 0x1_2345)), (259 << 20) | 0x1_2345);
}

#[test]
fn every_block_device_of_this_host_is_found_by_its_name() {
    let mut disks = Disks::new();
    for path in entries(Path::new("/sys/dev/block")) {
        let number = dev(path.file_name().unwrap().to_str().unwrap());
        let Some(disk) = disks.of(number) else { continue };
        assert_eq!(disks.find(&disk.name).unwrap().first(), Some(&number), "{disk:?}");
    }
}
