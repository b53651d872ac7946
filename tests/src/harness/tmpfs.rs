//! A mounted tmpfs.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::path::{Path, PathBuf};

/// A tmpfs at a directory. Dropped, it is not mounted any more.
#[derive(Debug)]
pub struct Tmpfs {
    place: PathBuf,
}

impl Tmpfs {
    /// Mounts one.
    pub fn at(place: &Path) -> Self {
        mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        Self { place: place.to_owned() }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = umount2(&self.place, MntFlags::MNT_DETACH);
    }
}
