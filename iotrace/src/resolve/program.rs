//! The PROGRAM of `iotrace COMMAND -- PROGRAM`.

use nix::unistd::{AccessFlags, eaccess};
use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where to look when PATH is not set, as execvp does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The file that execvp would run for a name, found before any probe is attached, so that a typing error costs nothing.
///
/// # Errors
/// `no program named X in PATH`, `X: no such file`, `X: is a directory`, `X: permission denied (not executable)`.
pub fn find_program(name: &OsStr) -> Result<PathBuf, String> {
    find_in(name, env::var_os("PATH").as_deref().unwrap_or(OsStr::new(DEFAULT_PATH)))
}

fn find_in(name: &OsStr, path: &OsStr) -> Result<PathBuf, String> {
    let shown = name.display();
    if name.as_bytes().contains(&b'/') {
        return check(Path::new(name)).map(|()| name.into()).map_err(|error| format!("{shown}: {}", error.text()));
    }
    let mut denied = None;
    // split_paths turns an empty part into an empty path, which joined means the current directory, as POSIX has it.
    for candidate in env::split_paths(path).filter(|_| !name.is_empty()).map(|directory| directory.join(name)) {
        match check(&candidate) {
            // With a slash, so that the caller's exec does not search again.
            Ok(()) if candidate.parent() == Some(Path::new("")) => return Ok(Path::new(".").join(candidate)),
            Ok(()) => return Ok(candidate),
            // As execvp: go on, but remember that something was there.
            Err(error @ Problem::Denied) => denied = denied.or(Some((candidate, error))),
            Err(Problem::Missing | Problem::Directory) => {}
        }
    }
    Err(match denied {
        Some((candidate, error)) => format!("{}: {}", candidate.display(), error.text()),
        None => format!("no program named {shown} in PATH"),
    })
}

enum Problem {
    Missing,
    Directory,
    Denied,
}

impl Problem {
    const fn text(&self) -> &'static str {
        match self {
            Self::Missing => "no such file",
            Self::Directory => "is a directory",
            Self::Denied => "permission denied (not executable)",
        }
    }
}

fn check(path: &Path) -> Result<(), Problem> {
    let found = path.metadata().map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => Problem::Denied,
        _ => Problem::Missing,
    })?;
    if found.is_dir() {
        return Err(Problem::Directory);
    }
    // Asks the kernel instead of the mode bits, so that noexec mounts and access control lists count.
    let executable = found.is_file() && eaccess(path, AccessFlags::X_OK).is_ok();
    executable.then_some(()).ok_or(Problem::Denied)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, mode) in [("first/tool", 0o644), ("second/tool", 0o755), ("first/plain", 0o644)] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "#!/bin/true\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(root.path().join("first/directory")).unwrap();
        root
    }

    fn find(root: &Path, name: &str) -> Result<PathBuf, String> {
        let path = env::join_paths([root.join("none"), root.join("first"), root.join("second")]).unwrap();
        find_in(OsStr::new(name), &path)
    }

    #[test]
    fn the_first_executable_file_in_path_wins() {
        let root = tree();
        assert_eq!(find(root.path(), "tool"), Ok(root.path().join("second/tool")));
    }

    #[test]
    fn a_name_with_a_slash_is_not_searched_for() {
        let root = tree();
        let path = root.path().join("second/tool");
        assert_eq!(find(root.path(), path.to_str().unwrap()), Ok(path));
    }

    #[test]
    fn an_empty_part_of_path_is_the_current_directory() {
        // Tests run in the package's directory, where nothing is executable: found, but refused.
        let error = find_in(OsStr::new("Cargo.toml"), OsStr::new("/none:")).unwrap_err();
        assert_eq!(error, "Cargo.toml: permission denied (not executable)");
    }

    #[test]
    fn errors_say_why() {
        let root = tree();
        let shown = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
        for (name, error) in [
            ("missing".to_owned(), "no program named missing in PATH".to_owned()),
            (String::new(), "no program named  in PATH".to_owned()),
            ("directory".to_owned(), "no program named directory in PATH".to_owned()),
            ("plain".to_owned(), format!("{}: permission denied (not executable)", shown("first/plain"))),
            (shown("first/plain"), format!("{}: permission denied (not executable)", shown("first/plain"))),
            (shown("first/directory"), format!("{}: is a directory", shown("first/directory"))),
            (shown("nothing"), format!("{}: no such file", shown("nothing"))),
        ] {
            assert_eq!(find(root.path(), &name), Err(error));
        }
    }
}
