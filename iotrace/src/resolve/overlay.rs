//! Where a file of overlayfs really lies: in the upper directory, or in the first lower one that has it.

use super::mount_table::{Mount, below, join, plain};
use std::{
    ffi::OsStr,
    fs::{self, Metadata},
    io::ErrorKind,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

/// The directories of an overlay, the uppermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layers {
    upper: Option<PathBuf>,
    lower: Vec<PathBuf>,
}

/// A file in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its path on the host.
    pub(super) path: Vec<u8>,
    /// It is in a lower layer: a write moves it.
    pub(super) lower: bool,
}

impl Layers {
    /// The layers by the options of the mount (ovl_show_options of fs/overlayfs/params.c). `bases`: directories from which
    /// relative names may count. containerd and dockerd shorten long options by mounting from within such a directory.
    pub(super) fn of(mount: &Mount, bases: &[PathBuf]) -> Self {
        let (mut upper, mut lower) = (None, Vec::new());
        for option in mount.options.split(|byte| *byte == b',').map(plain) {
            let Some(at) = option.iter().position(|byte| *byte == b'=') else { continue };
            let (key, value) = (option.get(..at).unwrap_or_default(), option.get(at + 1..).unwrap_or_default());
            match key {
                b"upperdir" => upper = Some(path(value)),
                b"lowerdir" => lower.extend(split(value)),
                // One option for each layer, since Linux 6.7.
                b"lowerdir+" => lower.push(path(value)),
                _ => {}
            }
        }
        let mut bases = bases.to_vec();
        bases.extend(
            upper
                .iter()
                .filter(|upper| upper.is_absolute())
                .flat_map(|upper| upper.ancestors().skip(1))
                .map(Into::into),
        );
        let absolute = |layer: PathBuf| {
            if layer.is_absolute() {
                Some(layer)
            } else {
                bases.iter().map(|base| base.join(&layer)).find(|path| path.exists())
            }
        };
        // A layer that cannot be found may hide what is below it.
        let known = lower.into_iter().map_while(absolute).collect();
        match upper.map(absolute) {
            Some(None) => Self::default(),
            upper => Self { upper: upper.flatten(), lower: known },
        }
    }

    /// A file by its path inside the overlay; `None` when it is not there any more, or a layer cannot be looked into. `ino`
    /// and `kind` (its S_IFMT bits) are what the overlay shows.
    pub(super) fn find(&self, inside: &[u8], ino: u64, kind: u32) -> Option<Found> {
        let layers = self.upper.iter().map(|layer| (layer, false)).chain(self.lower.iter().map(|layer| (layer, true)));
        let top = fs::symlink_metadata(self.upper.as_ref().or(self.lower.first())?).ok()?.dev();
        for (layer, lower) in layers {
            let path = join(layer.as_os_str().as_bytes(), inside);
            match fs::symlink_metadata(Path::new(OsStr::from_bytes(&path))) {
                Ok(found) if is_whiteout(&found) || found.mode() & libc::S_IFMT != kind => return None,
                // On one file system the overlay shows the number that the file has in the layer it was first in.
                Ok(found) if lower && found.dev() == top && found.ino() != ino && kind != libc::S_IFDIR => return None,
                Ok(_) => return Some(Found { path, lower }),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(_) => return None,
            }
        }
        None
    }
}

impl Layers {
    /// The path inside the overlay of a file in one of its layers, by its path without symbolic links.
    pub(super) fn inside<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let upper = self.upper.iter().find_map(|layer| below(path, layer.as_os_str().as_bytes()));
        // podman and Docker name lower layers by links.
        upper.or_else(|| {
            let real = self.lower.iter().map(|layer| layer.canonicalize().unwrap_or_else(|_| layer.clone()));
            real.into_iter().find_map(|layer| below(path, layer.as_os_str().as_bytes()))
        })
    }

    /// The file in the first lower layer that has it, by its path inside the overlay and its type.
    pub(super) fn find_below(&self, inside: &[u8], kind: u32) -> Option<Vec<u8>> {
        for layer in &self.lower {
            let path = join(layer.as_os_str().as_bytes(), inside);
            match fs::symlink_metadata(Path::new(OsStr::from_bytes(&path))) {
                Ok(found) => return Some(path).filter(|_| found.mode() & libc::S_IFMT == kind),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// Whether a file by its path inside the overlay has this inode number in some layer: the overlay keeps the number of the
    /// layer that the file was first in.
    pub(super) fn have(&self, inside: &[u8], ino: u64) -> bool {
        self.upper.iter().chain(&self.lower).any(|layer| {
            let path = join(layer.as_os_str().as_bytes(), inside);
            fs::symlink_metadata(Path::new(OsStr::from_bytes(&path))).is_ok_and(|found| found.ino() == ino)
        })
    }
}

/// The mark of a file that was removed.
fn is_whiteout(found: &Metadata) -> bool {
    found.file_type().is_char_device() && found.rdev() == 0
}

fn path(bytes: &[u8]) -> PathBuf {
    std::ffi::OsString::from_vec(bytes.to_vec()).into()
}

/// A list with colons between; a backslash takes a colon's meaning away.
fn split(list: &[u8]) -> Vec<PathBuf> {
    let mut names = vec![Vec::new()];
    let mut escaped = false;
    for &byte in list {
        match byte {
            b'\\' if !escaped => escaped = true,
            b':' if !escaped => names.push(Vec::new()),
            _ => {
                escaped = false;
                if let Some(name) = names.last_mut() {
                    name.push(byte);
                }
            }
        }
    }
    // Two colons: what follows are layers of data alone.
    names.iter().filter(|name| !name.is_empty()).map(|name| path(name)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn layers(options: &str, bases: &[PathBuf]) -> Layers {
        Layers::of(&Mount { options: options.into(), ..Mount::default() }, bases)
    }

    #[test]
    fn options_name_the_layers() {
        for (options, upper, lower) in [
            ("rw,lowerdir=/a:/b,upperdir=/u,workdir=/w", Some("/u"), &["/a", "/b"][..]),
            (r"ro,lowerdir=/a\134:b:/c\040d", None, &["/a:b", "/c d"]),
            ("rw,lowerdir+=/a,lowerdir+=/b,datadir+=/d,upperdir=/u", Some("/u"), &["/a", "/b"]),
            ("rw,lowerdir=/a::/data,upperdir=/x\\054y", Some("/x,y"), &["/a", "/data"]),
        ] {
            let expected = Layers { upper: upper.map(Into::into), lower: lower.iter().map(Into::into).collect() };
            assert_eq!(layers(options, &[]), expected, "{options}");
        }
    }

    #[test]
    fn relative_layers_count_from_where_they_are_found() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in ["snapshots/1/fs", "snapshots/2/fs", "docker/l/ABC", "docker/7/diff"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        let options = format!("rw,lowerdir=1/fs,upperdir={}", at("snapshots/2/fs").display());
        assert_eq!(layers(&options, &[]).lower, [at("snapshots/1/fs")]);
        let docker = layers("rw,lowerdir=l/ABC,upperdir=7/diff", &[at("docker")]);
        assert_eq!((docker.upper, docker.lower), (Some(at("docker/7/diff")), vec![at("docker/l/ABC")]));
        assert_eq!(layers("rw,lowerdir=/a,upperdir=gone/diff", &[at("docker")]), Layers::default());
        assert_eq!(layers("rw,lowerdir=/a:gone:/b,upperdir=/u", &[]).lower, [Path::new("/a")]);
    }

    #[test]
    fn the_uppermost_file_counts() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for (file, text) in [
            ("u/both", "u"),
            ("a/both", "a"),
            ("a/d/lower", "a"),
            ("b/d/lower", "b"),
            ("b/deep", "b"),
            ("a/kind/x", ""),
        ] {
            fs::create_dir_all(at(file).parent().unwrap()).unwrap();
            fs::write(at(file), text).unwrap();
        }
        fs::write(at("u/kind"), "").unwrap();
        let layers = Layers { upper: Some(at("u")), lower: vec![at("a"), at("b")] };
        let ino = |name: &str| fs::metadata(at(name)).unwrap().ino();
        let find = |name: &str, ino| layers.find(name.as_bytes(), ino, libc::S_IFREG);
        let found = |name: &str, lower| Some(Found { path: at(name).into_os_string().into_vec(), lower });
        assert_eq!(find("/both", 1), found("u/both", false));
        assert_eq!(find("/d/lower", ino("a/d/lower")), found("a/d/lower", true));
        assert_eq!(find("/d/lower", 1), None, "another file");
        assert_eq!(find("/deep", ino("b/deep")), found("b/deep", true));
        assert_eq!(find("/gone", 1), None);
        assert_eq!(layers.find_below(b"/both", libc::S_IFREG).unwrap(), at("a/both").into_os_string().into_vec());
        assert_eq!(layers.find_below(b"/both", libc::S_IFDIR), None);
        assert_eq!(layers.find_below(b"/kind", libc::S_IFREG), None);
        for (name, layer) in [("/both", "u"), ("/both", "a"), ("/deep", "b")] {
            assert!(layers.have(name.as_bytes(), ino(&format!("{layer}{name}"))), "{name}");
        }
        assert!(!layers.have(b"/both", ino("b/deep")) && !layers.have(b"/gone", 1));
        assert_eq!(layers.find(b"/both", 1, libc::S_IFDIR), None);
        assert_eq!(find("/kind/x", ino("a/kind/x")), found("a/kind/x", true));
    }
}
