//! Each way to open; what is opened is written to, a prime number of times.

use crate::workload::{
    open::{CWD, Via},
    rec::Rec,
};
use std::path::Path;

pub(super) fn run(rec: &mut Rec, dir: &Path) {
    let new = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    let parent = rec.open(dir, libc::O_RDONLY | libc::O_DIRECTORY);
    for (via, from, name, count) in [
        (Via::Open, CWD, dir.join("by-open"), 3),
        (Via::Openat, parent.fd, "by-openat".into(), 5),
        (Via::Openat2, parent.fd, "by-openat2".into(), 7),
        (Via::Creat, CWD, dir.join("by-creat"), 11),
    ] {
        let flags = if via == Via::Creat { libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC } else { new };
        let file = rec.open_via(via, from, &name, flags, &dir.join(&name)).unwrap();
        for _ in 0..count {
            assert_eq!(rec.write(&file, 23), 23);
        }
        file.close();
    }
    parent.close();
    let path = dir.join("by-openat");
    match rec.open_by_handle(&path, libc::O_WRONLY) {
        Ok(file) => {
            for _ in 0..13 {
                assert_eq!(rec.write(&file, 29), 29);
            }
            file.close();
        }
        Err(ret) => assert_eq!(ret, -i64::from(libc::EOPNOTSUPP)),
    }
}
