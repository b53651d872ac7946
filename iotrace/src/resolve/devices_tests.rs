#![allow(clippy::unwrap_used)]
use super::*;
use crate::resolve::{
    dev_text,
    disk::tests::{Host, dev},
};

/// A laptop: LVM on LUKS on the third partition of an NVMe disk.
fn laptop() -> Host {
    let host = Host::empty();
    for (path, number, slaves) in [
        ("nvme0n1", "259:0", &[][..]),
        ("nvme0n1/nvme0n1p1", "259:1", &[]),
        ("nvme0n1/nvme0n1p3", "259:3", &[]),
        ("dm-0", "253:0", &["nvme0n1/nvme0n1p3"]),
        ("dm-1", "253:1", &["dm-0"]),
    ] {
        host.add(path, number, slaves);
    }
    attributes(&host, "dm-0", &[("dm/name", "nvme0n1p3_crypt\n"), ("dm/uuid", "CRYPT-LUKS2-8d31-nvme0n1p3_crypt\n")]);
    attributes(&host, "dm-1", &[("dm/name", "vg-root\n"), ("dm/uuid", "LVM-x0fQYw\n")]);
    host
}

/// A mirror of two disks, one of them by its partition.
fn mirror() -> Host {
    let host = Host::empty();
    for (path, number, slaves) in [
        ("sda", "8:0", &[][..]),
        ("sda/sda1", "8:1", &[]),
        ("sdb", "8:16", &[]),
        ("md0", "9:0", &["sda/sda1", "sdb"]),
        ("md0/md0p1", "259:0", &[]),
    ] {
        host.add(path, number, slaves);
    }
    attributes(&host, "md0", &[("md/level", "raid1\n")]);
    host
}

fn attributes(host: &Host, device: &str, values: &[(&str, &str)]) {
    for (name, value) in values {
        let file = host.sys().join("devices/block").join(device).join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, value).unwrap();
    }
}

fn read(host: &Host, name: &str, number: &str) -> Option<Device> {
    Devices::at(&host.sys(), Mounts::at(Path::new("/nowhere"))).read(dev(number), name, Instant::now())
}

/// Name, whole disk, kind, and what it stands on.
fn told(host: &Host, name: &str, number: &str) -> (String, String, String, Vec<String>) {
    let device = read(host, name, number).unwrap();
    let on = device.on.unwrap().into_iter().map(dev_text).collect();
    (device.name, device.disk, device.kind, on)
}

fn expected(name: &str, disk: &str, kind: &str, on: &[&str]) -> (String, String, String, Vec<String>) {
    (name.into(), disk.into(), kind.into(), on.iter().map(|&dev| dev.into()).collect())
}

#[test]
fn device_mapper_over_partitions_over_nvme() {
    let host = laptop();
    for (name, number, is) in [
        ("nvme0n1", "259:0", expected("nvme0n1", "nvme0n1", "disk", &[])),
        ("nvme0n1p3", "259:3", expected("nvme0n1p3", "nvme0n1", "part", &["259:0"])),
        ("dm-0", "253:0", expected("mapper/nvme0n1p3_crypt", "mapper/nvme0n1p3_crypt", "crypt", &["259:3"])),
        ("dm-1", "253:1", expected("mapper/vg-root", "mapper/vg-root", "lvm", &["253:0"])),
    ] {
        assert_eq!(told(&host, name, number), is);
    }
}

#[test]
fn md_over_two_disks() {
    let host = mirror();
    assert_eq!(told(&host, "md0", "9:0"), expected("md0", "md0", "raid1", &["8:1", "8:16"]));
    assert_eq!(told(&host, "md0p1", "259:0"), expected("md0p1", "md0", "part", &["9:0"]));
}

#[test]
fn a_loop_device_stands_on_the_device_of_its_file() {
    let (host, image) = (Host::empty(), tempfile::NamedTempFile::new().unwrap());
    host.add("loop0", "7:0", &[]);
    attributes(&host, "loop0", &[("loop/backing_file", &format!("{}\n", image.path().display()))]);
    let found = read(&host, "loop0", "7:0").unwrap();
    assert_eq!(
        (found.kind.as_str(), found.backing.as_deref()),
        ("loop", Some(image.path().as_os_str().as_encoded_bytes()))
    );
    let below = dev_of_rdev(image.path().metadata().unwrap().dev());
    // Of a file system with an anonymous number, no mount table tells the disk here.
    assert_eq!(found.on, (below >> 20 != 0).then(|| vec![below]));
}

#[test]
fn what_a_loop_device_of_a_deleted_file_stands_on_cannot_be_told() {
    let host = Host::empty();
    host.add("loop0", "7:0", &[]);
    attributes(&host, "loop0", &[("loop/backing_file", "/nowhere/image (deleted)\n")]);
    assert_eq!(read(&host, "loop0", "7:0").unwrap().on, None);
    host.add("loop1", "7:1", &[]);
    assert_eq!(told(&host, "loop1", "7:1"), expected("loop1", "loop1", "loop", &[]));
}

#[test]
fn a_device_mapper_device_without_a_maker_is_dm_and_a_partition_is_one() {
    let host = laptop();
    attributes(&host, "dm-0", &[("dm/uuid", "\n")]);
    attributes(&host, "dm-1", &[("dm/uuid", "part1-mpath-3600\n")]);
    assert_eq!(read(&host, "dm-0", "253:0").unwrap().kind, "dm");
    assert_eq!(read(&host, "dm-1", "253:1").unwrap().kind, "part");
}

#[test]
fn a_name_that_another_device_has_by_now_is_not_taken() {
    let host = mirror();
    assert_eq!(read(&host, "sda", "8:16"), None);
    assert_eq!(read(&host, "sdc", "8:32"), None);
}
