//! A mounted overlay.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// An overlay of `lower` and `upper` at `merged`, in one directory. Dropped, it is not mounted any more.
#[derive(Debug)]
pub struct Overlay {
    place: PathBuf,
}

impl Overlay {
    /// Mounts one; `fill` makes the files of its lower layer.
    pub fn new(place: &Path, fill: impl FnOnce(&Path)) -> Self {
        let place = place.canonicalize().unwrap();
        for name in ["lower", "upper", "work", "merged"] {
            fs::create_dir(place.join(name)).unwrap();
        }
        fill(&place.join("lower"));
        let overlay = Self { place };
        let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(|name| overlay.at(name));
        let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
        mount(Some("overlay"), &merged, Some("overlay"), MsFlags::empty(), Some(options.as_str())).unwrap();
        overlay
    }

    /// A path beside and in its directories: `merged/file`.
    pub fn at(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = umount2(&self.at("merged"), MntFlags::MNT_DETACH);
    }
}
