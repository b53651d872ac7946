//! The image of containers, made on the spot.

use super::succeeds;
use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// The image: busybox, a few directories, and a file that containers can change.
pub const IMAGE: &str = "example.com/busybox:1.36";
/// What the file `/etc/from-image` has in it.
const FROM_IMAGE: &str = "from the image\n";

/// An image of busybox, as `docker save` would write it, with a file of so many bytes besides.
pub(super) fn image(place: &Path, name: &str, size: usize) -> PathBuf {
    let (root, tar) = (place.join("root"), place.join("image.tar"));
    for directory in ["bin", "data", "etc", "tmp"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let busybox = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    fs::copy(busybox.unwrap(), root.join("bin/busybox")).unwrap();
    for name in ["cat", "dd", "echo", "sh", "sleep", "usleep"] {
        symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    fs::write(root.join("etc/from-image"), FROM_IMAGE).unwrap();
    if size > 0 {
        fs::write(root.join("data/model"), vec![b'x'; size]).unwrap();
    }
    succeeds(Command::new("tar").args(["-cf", "layer.tar", "-C", "root", "."]).current_dir(place));
    let sum = succeeds(Command::new("sha256sum").arg("layer.tar").current_dir(place));
    let layer = format!("sha256:{}", sum.split(' ').next().unwrap());
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux", "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    });
    fs::write(place.join("config.json"), config.to_string()).unwrap();
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    fs::write(place.join("manifest.json"), manifest.to_string()).unwrap();
    let files = ["manifest.json", "config.json", "layer.tar"].map(OsStr::new);
    succeeds(Command::new("tar").arg("-cf").arg(&tar).args(files).current_dir(place));
    tar
}
