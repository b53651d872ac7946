//! A loop device of one's own.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::{
    fs::{self, File, OpenOptions},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

// include/uapi/linux/loop.h
const LOOP_CTL_GET_FREE: u64 = 0x4c82;
const LOOP_CONFIGURE: u64 = 0x4c0a;
// include/uapi/linux/fs.h
const FIFREEZE: u64 = 0xc004_5877;
const FITHAW: u64 = 0xc004_5878;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// `struct loop_config` with the `struct loop_info64` in it.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    numbers: [u64; 5],
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    names: [u8; 64 + 64 + 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

/// A block device in a file. It goes away when nobody has it open any more, even when the test is killed.
#[derive(Debug)]
pub struct LoopDisk {
    device: Option<File>,
    name: String,
    mounted: Option<PathBuf>,
    place: TempDir,
}

impl LoopDisk {
    /// A device of `mib` MiB, all zeros, without a file system.
    pub fn raw(mib: u64) -> Self {
        Self::with_flags(mib, LO_FLAGS_AUTOCLEAR)
    }

    /// The same in a file of another disk.
    pub fn raw_on(disk: &Self, mib: u64) -> Self {
        Self::in_place(TempDir::new_in(disk.dir()).unwrap(), mib, LO_FLAGS_AUTOCLEAR)
    }

    fn with_flags(mib: u64, flags: u32) -> Self {
        Self::in_place(tempfile::tempdir().unwrap(), mib, flags)
    }

    fn in_place(place: TempDir, mib: u64, flags: u32) -> Self {
        let file = File::create_new(place.path().join("disk")).unwrap();
        file.set_len(mib << 20).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(place.path().join("disk")).unwrap();
        let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control").unwrap();
        for _ in 0..100 {
            // SAFETY: the call takes no argument.
            let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
            assert!(number >= 0, "no free loop device");
            let name = format!("loop{number}");
            let Ok(device) = OpenOptions::new().read(true).write(true).open(format!("/dev/{name}")) else { continue };
            let config = LoopConfig {
                fd: file.as_raw_fd() as u32,
                block_size: 0,
                numbers: [0; 5],
                number: 0,
                encryption: [0; 2],
                flags,
                names: [0; 160],
                init: [0; 2],
                reserved: [0; 8],
            };
            // SAFETY: the structure has the kernel's layout and outlives the call.
            if unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, &config) } == 0 {
                // SAFETY: the descriptor is open. udev leaves a locked device alone.
                unsafe { libc::flock(device.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
                return Self { device: Some(device), name, mounted: None, place };
            } // else somebody else was faster
        }
        panic!("no loop device could be had");
    }

    /// A device with an ext4 file system on it, mounted.
    pub fn new(mib: u64) -> Self {
        Self::raw(mib).ext4()
    }

    /// The same, as slow as the disk below it: the page cache of the file that it is in is not used, where the kernel can do that.
    pub fn uncached(mib: u64) -> Self {
        Self::with_flags(mib, LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO).ext4()
    }

    /// A device with an ext4 file system, in a file of another disk.
    pub fn new_on(disk: &Self, mib: u64) -> Self {
        Self::raw_on(disk, mib).ext4()
    }

    fn ext4(self) -> Self {
        let options = "lazy_itable_init=0,lazy_journal_init=0"; // nothing is left to be written in the background
        self.format("ext4", &["-q", "-F", "-m", "0", "-E", options])
    }

    /// A device with an xfs on it that can share blocks between files.
    pub fn xfs() -> Self {
        Self::formatted(320, "xfs", &["-q", "-f", "-m", "reflink=1"]) // mkfs.xfs wants 300 MiB
    }

    /// A device with a btrfs on it.
    pub fn btrfs() -> Self {
        Self::btrfs_of(128) // mkfs.btrfs wants 109 MiB
    }

    /// The same of another size.
    pub fn btrfs_of(mib: u64) -> Self {
        Self::formatted(mib, "btrfs", &["-q", "-f"])
    }

    fn formatted(mib: u64, kind: &str, options: &[&str]) -> Self {
        Self::raw(mib).format(kind, options)
    }

    fn format(self, kind: &str, options: &[&str]) -> Self {
        let mut disk = self;
        let mkfs = Command::new(format!("mkfs.{kind}")).args(options).arg(disk.path()).output().unwrap();
        assert!(mkfs.status.success(), "{}", String::from_utf8_lossy(&mkfs.stderr));
        let target = disk.place.path().join("mount");
        fs::create_dir(&target).unwrap();
        mount(Some(&disk.path()), &target, Some(kind), MsFlags::MS_NOATIME, None::<&str>).unwrap();
        disk.mounted = Some(target);
        disk
    }

    /// As in /sys/block.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device.
    pub fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// Where it is mounted.
    pub fn dir(&self) -> &Path {
        self.mounted.as_deref().expect("the disk is mounted")
    }

    /// Writes everything out.
    pub fn sync(&self) {
        let place = self.mounted.as_deref().map_or_else(|| self.path(), Path::to_owned);
        let place = File::open(place).unwrap();
        // SAFETY: the descriptor is open.
        let synced = unsafe {
            if self.mounted.is_some() { libc::syncfs(place.as_raw_fd()) } else { libc::fsync(place.as_raw_fd()) }
        };
        assert_eq!(synced, 0);
    }

    /// Writes everything out, so that nothing is left to disturb a count.
    pub fn settle(&self) {
        self.sync();
        // Since Linux 5.13 ext4 reads its block bitmaps some seconds after a mount. This file makes it read them now.
        let groups = PathBuf::from(format!("/proc/fs/ext4/{}/mb_groups", self.name));
        if groups.exists() {
            fs::read(groups).unwrap();
        }
    }
}

/// A file system to which nobody can write: who does, waits for the end of this.
#[derive(Debug)]
pub struct Frozen(File);

impl Frozen {
    /// That of a mounted disk.
    pub fn new(disk: &LoopDisk) -> Self {
        let place = File::open(disk.dir()).unwrap();
        // SAFETY: the descriptor is open, and the call takes no argument that is used.
        assert_eq!(unsafe { libc::ioctl(place.as_raw_fd(), FIFREEZE as _, 0) }, 0);
        Self(place)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::ioctl(self.0.as_raw_fd(), FITHAW as _, 0) };
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        if let Some(target) = self.mounted.take()
            && umount2(&target, MntFlags::empty()).is_err()
        {
            let _ = umount2(&target, MntFlags::MNT_DETACH); // goes when its last user goes
        }
        self.device = None;
    }
}
