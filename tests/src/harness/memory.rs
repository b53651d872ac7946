//! The memory of a process, and of the maps in the kernel that its programs use.

use std::{
    collections::BTreeSet,
    fs,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// Commands of bpf(2).
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const MAP_GET_FD_BY_ID: libc::c_int = 14;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;

/// Of a program there are fewer.
const MAPS: usize = 64;

/// The part of `struct bpf_prog_info` up to the maps.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    before: [u32; 6],
    instructions: [u64; 3],
    user: u32,
    map_count: u32,
    maps: u64,
}

fn bpf(command: libc::c_int, attr: &mut [u32; 32]) -> Option<libc::c_long> {
    // SAFETY: the attributes outlive the call, and what they point to is valid for the command.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) };
    (result >= 0).then_some(result)
}

fn by_id(command: libc::c_int, id: u32) -> Option<OwnedFd> {
    let mut attr = [0; 32];
    attr[0] = id;
    let fd = bpf(command, &mut attr)?;
    // SAFETY: the call has just given it.
    Some(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The maps that a program uses.
fn maps_of(program: u32) -> Vec<u32> {
    let Some(fd) = by_id(PROG_GET_FD_BY_ID, program) else { return Vec::new() };
    let mut maps = [0_u32; MAPS];
    let mut info = ProgramInfo { map_count: MAPS as u32, maps: maps.as_mut_ptr() as u64, ..ProgramInfo::default() };
    let mut attr = [0; 32];
    let address = (&raw mut info) as u64;
    (attr[0], attr[1]) = (fd.as_raw_fd() as u32, size_of::<ProgramInfo>() as u32);
    (attr[2], attr[3]) = (address as u32, (address >> 32) as u32);
    if bpf(OBJ_GET_INFO_BY_FD, &mut attr).is_none() {
        return Vec::new();
    }
    maps.into_iter().take(info.map_count as usize).collect()
}

fn number(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

/// Bytes of all maps that the programs of a process use.
pub fn map_memory(pid: u32) -> u64 {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let programs: BTreeSet<u32> = infos
        .filter_map(|info| number(&fs::read_to_string(info.path()).ok()?, "prog_id:"))
        .map(|id| id as u32)
        .collect();
    let maps: BTreeSet<u32> = programs.into_iter().flat_map(maps_of).collect();
    let bytes = |id| {
        let fd = by_id(MAP_GET_FD_BY_ID, id)?;
        number(&fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?, "memlock:")
    };
    maps.into_iter().filter_map(bytes).sum()
}

/// Bytes that a process has for itself; `None` when it has ended.
pub fn own_memory(pid: u32) -> Option<u64> {
    number(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "RssAnon:").map(|kibibytes| kibibytes << 10)
}
