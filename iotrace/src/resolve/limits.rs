//! Limits of control groups on I/O: `io.max` (v2), `blkio.throttle.*` (v1).

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

/// Files of the first hierarchy (Documentation/admin-guide/cgroup-v1/blkio-controller.rst).
const V1: [&str; 4] = [
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device",
    "blkio.throttle.write_iops_device",
];
/// Of the second (Documentation/admin-guide/cgroup-v2.rst).
const V2: [&str; 1] = ["io.max"];
/// Where hierarchies are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// A limit of a control group, or of one above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoLimit {
    /// The group that was asked for.
    pub cgroup: String,
    /// The disk, in the kernel's encoding.
    pub dev: u32,
    /// The file that has it.
    pub file: String,
    /// The line.
    pub text: String,
}

/// The limits of these groups.
pub fn of(groups: &HashSet<&str>) -> Vec<IoLimit> {
    groups.iter().flat_map(|group| of_group(Path::new(ROOT), group)).collect()
}

fn of_group(root: &Path, group: &str) -> Vec<IoLimit> {
    let inside = Path::new(group.trim_start_matches('/'));
    let hierarchies: [(PathBuf, &[&str]); 3] =
        [(root.join("blkio"), &V1), (root.to_owned(), &V2), (root.join("unified"), &V2)];
    let mut found = Vec::new();
    for (hierarchy, files) in hierarchies {
        // A limit of a group holds for those below it too.
        for above in inside.ancestors() {
            for path in files.iter().map(|file| hierarchy.join(above).join(file)) {
                let text = fs::read_to_string(&path).unwrap_or_default();
                found.extend(text.lines().filter_map(|line| parse(group, &path, line)));
            }
        }
    }
    found
}

/// `254:0 1048576`, `254:0 rbps=max wbps=1048576 riops=max wiops=max`.
fn parse(group: &str, file: &Path, line: &str) -> Option<IoLimit> {
    let (device, limit) = line.split_once(' ')?;
    let (major, minor) = device.split_once(':')?;
    let limited = limit.split(' ').any(|word| !word.ends_with("=max"));
    limited.then_some(())?;
    Some(IoLimit {
        cgroup: group.to_owned(),
        dev: major.parse::<u32>().ok()? << 20 | minor.parse::<u32>().ok()?,
        file: file.to_string_lossy().into_owned(),
        text: line.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn limits_of_both_hierarchies_and_of_groups_above() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("blkio/k8s/web/blkio.throttle.read_bps_device", "254:0 1048576\n");
        write("k8s/io.max", "8:16 rbps=max wbps=2097152 riops=max wiops=max\n");
        write("k8s/web/io.max", "8:0 rbps=max wbps=max riops=max wiops=max\n");
        let found: Vec<_> =
            of_group(root.path(), "/k8s/web").into_iter().map(|limit| (limit.dev, limit.text)).collect();
        let truth = [
            (254 << 20, "254:0 1048576".to_owned()),
            (8 << 20 | 16, "8:16 rbps=max wbps=2097152 riops=max wiops=max".to_owned()),
        ];
        assert_eq!(found, truth);
        assert_eq!(of_group(root.path(), "/other"), []);
    }
}
