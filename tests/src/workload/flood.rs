//! As many small writes as fast as possible.

use super::{
    Args,
    rec::{Rec, Target},
    sys::syscall,
};

/// The scenario.
pub fn run(rec: &mut Rec, args: &Args) {
    let file = rec.create(&args.dir.join("flood"));
    let share = args.count / args.threads;
    let arena = rec.arena();
    std::thread::scope(|scope| {
        for _ in 1..args.threads {
            let file = file.clone();
            scope.spawn(move || {
                let mut rec = Rec::another(arena);
                burst(&mut rec, &file, share);
                rec.finish();
            });
        }
        burst(rec, &file, args.count - share * (args.threads - 1));
    });
}

fn burst(rec: &mut Rec, file: &Target, count: u64) {
    if count == 0 {
        return;
    }
    rec.pwrite(file, 1, 0);
    for at in 1..count {
        let ret = syscall!(libc::SYS_pwrite64, file.fd, rec.buffer.as_ptr(), 1, at & 4095);
        assert_eq!(ret, 1);
    }
    rec.repeat_last(count - 1);
}
