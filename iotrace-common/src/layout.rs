//! Byte offsets of the kernel's structure members, and numbers of types, looked up in the running kernel's BTF by the loader.

use bytemuck::{Pod, Zeroable};

/// Offset of a member that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// How a member is found.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name of the field of [`KernelLayout`].
    pub name: &'static str,
    /// Alternatives, first hit wins: `struct.member.member`, `[N]` for an array element, N a number or an enumerator; the difference of
    /// two such, with ` - ` between them; `sizeof struct`; or the name of a structure, for the number of its type. What follows `module:`
    /// is looked for among the types of that module.
    pub members: &'static [&'static str],
    /// Without it nothing works.
    pub required: bool,
}

macro_rules! layout {
    ($($(#[$doc:meta])* $field:ident: $need:ident $members:expr;)*) => {
        /// Byte offsets, each from the start of the structure it is named after; [`ABSENT`] where there is none.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
        pub struct KernelLayout { $($(#[$doc])* pub $field: u32,)* }
        /// How each member is found, in the order of [`KernelLayout`].
        pub const FIELDS: &[Field] = &[
            $(Field { name: stringify!($field), members: &$members, required: layout!(@$need) },)*
        ];
        impl KernelLayout {
            /// Nothing known.
            pub const UNKNOWN: Self = Self { $($field: ABSENT,)* };
        }
    };
    (@required) => { true };
    (@optional) => { false };
}

layout! {
    /// `struct file` -> `struct inode *`.
    file_inode: required ["file.f_inode"];
    /// `struct file` -> `struct vfsmount *`.
    file_mnt: required ["file.f_path.mnt"];
    /// `struct file` -> `struct dentry *`.
    file_dentry: required ["file.f_path.dentry"];
    /// `struct file`: O_ flags.
    file_flags: required ["file.f_flags"];
    /// `struct file`: FMODE_ flags.
    file_mode: required ["file.f_mode"];
    /// `struct file`: position.
    file_pos: required ["file.f_pos"];
    /// `struct inode`: number.
    inode_ino: required ["inode.i_ino"];
    /// `struct inode`: generation.
    inode_generation: required ["inode.i_generation"];
    /// `struct inode`: bytes.
    inode_size: required ["inode.i_size"];
    /// `struct inode`: type and permissions.
    inode_mode: required ["inode.i_mode"];
    /// `struct inode`: S_ flags.
    inode_flags: required ["inode.i_flags"];
    /// `struct inode` -> `struct super_block *`.
    inode_sb: required ["inode.i_sb"];
    /// `struct super_block`: device number.
    sb_dev: required ["super_block.s_dev"];
    /// `struct super_block`: SB_ flags.
    sb_flags: required ["super_block.s_flags"];
    /// `struct super_block` -> `struct file_system_type *`.
    sb_type: required ["super_block.s_type"];
    /// `struct file_system_type` -> name.
    fs_name: required ["file_system_type.name"];
    /// `struct dentry` -> parent.
    dentry_parent: required ["dentry.d_parent"];
    /// `struct dentry`: hash and length of the name (6.18 has a writable `__d_name` beside it).
    dentry_hash_len: required ["dentry.d_name.hash_len", "dentry.__d_name.hash_len"];
    /// `struct dentry` -> name.
    dentry_name: required ["dentry.d_name.name", "dentry.__d_name.name"];
    /// `struct dentry`: null when unhashed.
    dentry_hash_pprev: required ["dentry.d_hash.pprev"];
    /// `struct dentry` -> `struct inode *`.
    dentry_inode: required ["dentry.d_inode"];
    /// `struct vfsmount` -> `struct super_block *`.
    vfsmount_sb: required ["vfsmount.mnt_sb"];
    /// `struct vfsmount` -> root dentry.
    vfsmount_root: required ["vfsmount.mnt_root"];
    /// `struct mount`: the `struct vfsmount` inside.
    mount_vfsmount: required ["mount.mnt"];
    /// `struct mount` -> parent mount.
    mount_parent: required ["mount.mnt_parent"];
    /// `struct mount` -> dentry it is mounted on.
    mount_mountpoint: required ["mount.mnt_mountpoint"];
    /// `struct path` -> `struct vfsmount *`.
    path_mnt: required ["path.mnt"];
    /// `struct path` -> `struct dentry *`.
    path_dentry: required ["path.dentry"];
    /// `struct task_struct` -> `struct files_struct *`.
    task_files: required ["task_struct.files"];
    /// `struct task_struct` -> `struct fs_struct *`.
    task_fs: required ["task_struct.fs"];
    /// `struct task_struct` -> `struct nsproxy *`.
    task_nsproxy: required ["task_struct.nsproxy"];
    /// `struct nsproxy` -> `struct mnt_namespace *`.
    nsproxy_mounts: required ["nsproxy.mnt_ns"];
    /// `struct task_struct`: thread id.
    task_pid: required ["task_struct.pid"];
    /// `struct task_struct`: process id.
    task_tgid: required ["task_struct.tgid"];
    /// `struct task_struct` -> parent process.
    task_real_parent: required ["task_struct.real_parent"];
    /// `struct task_struct` -> main thread.
    task_group_leader: required ["task_struct.group_leader"];
    /// `struct task_struct`: name.
    task_comm: required ["task_struct.comm"];
    /// `struct task_struct`: start, nanoseconds since boot.
    task_start: required ["task_struct.start_boottime", "task_struct.real_start_time"];
    /// `struct task_struct` -> `struct css_set *`.
    task_cgroups: optional ["task_struct.cgroups"];
    /// `struct task_struct` -> `struct signal_struct *`.
    task_signal: required ["task_struct.signal"];
    /// `struct task_struct`: TS_COMPAT is bit 1 (x86).
    task_status: optional ["task_struct.thread_info.status"];
    /// `struct task_struct`: TIF_ flags.
    task_info_flags: optional ["task_struct.thread_info.flags"];
    /// `struct signal_struct`: living threads.
    signal_live: required ["signal_struct.live.counter"];
    /// `struct css_set` -> v2 `struct cgroup *`.
    css_set_default: optional ["css_set.dfl_cgrp"];
    /// `struct css_set` -> state of the memory controller (tells the group where v1 hierarchies are mounted).
    css_set_memory: optional ["css_set.subsys[memory_cgrp_id]"];
    /// `struct cgroup_subsys_state` -> `struct cgroup *`.
    css_cgroup: optional ["cgroup_subsys_state.cgroup"];
    /// `struct cgroup` -> `struct kernfs_node *`.
    cgroup_kn: optional ["cgroup.kn"];
    /// `struct kernfs_node` -> name.
    kernfs_name: optional ["kernfs_node.name"];
    /// `struct kernfs_node` -> parent (the member has two underscores since 6.15).
    kernfs_parent: optional ["kernfs_node.parent", "kernfs_node.__parent"];
    /// `struct files_struct` -> `struct fdtable *`.
    files_fdt: required ["files_struct.fdt"];
    /// `struct fdtable` -> array of `struct file *`.
    fdt_fd: required ["fdtable.fd"];
    /// `struct fdtable`: length of the array.
    fdt_max: required ["fdtable.max_fds"];
    /// `struct fs_struct`: root directory.
    fs_root: required ["fs_struct.root"];
    /// `struct fs_struct`: working directory.
    fs_pwd: required ["fs_struct.pwd"];
    /// `struct vm_area_struct` -> `struct file *`.
    vma_file: required ["vm_area_struct.vm_file"];
    /// `struct pt_regs`: number of the system call.
    regs_number: required ["pt_regs.orig_ax", "pt_regs.syscallno"];
    /// `struct pt_regs`: first argument of a system call.
    regs_arg0: required ["pt_regs.di", "pt_regs.orig_x0"];
    /// Second argument.
    regs_arg1: required ["pt_regs.si", "pt_regs.regs[1]"];
    /// Third argument.
    regs_arg2: required ["pt_regs.dx", "pt_regs.regs[2]"];
    /// Fourth argument.
    regs_arg3: required ["pt_regs.r10", "pt_regs.regs[3]"];
    /// Fifth argument.
    regs_arg4: required ["pt_regs.r8", "pt_regs.regs[4]"];
    /// Sixth argument.
    regs_arg5: required ["pt_regs.r9", "pt_regs.regs[5]"];
    /// `struct pt_regs`: its last member on x86-64.
    regs_last: optional ["pt_regs.ss"];
    /// `struct pt_regs`: first parameter of a function of the kernel.
    regs_parameter0: required ["pt_regs.di", "pt_regs.regs[0]"];
    /// Second.
    regs_parameter1: required ["pt_regs.si", "pt_regs.regs[1]"];
    /// Third.
    regs_parameter2: required ["pt_regs.dx", "pt_regs.regs[2]"];
    /// Fourth.
    regs_parameter3: required ["pt_regs.cx", "pt_regs.regs[3]"];
    /// `struct pt_regs`: what a function of the kernel returns.
    regs_result: required ["pt_regs.ax", "pt_regs.regs[0]"];
    /// First argument of a 32-bit task's call.
    compat_arg0: optional ["pt_regs.bx"];
    /// Second.
    compat_arg1: optional ["pt_regs.cx"];
    /// Third.
    compat_arg2: optional ["pt_regs.dx"];
    /// Fourth.
    compat_arg3: optional ["pt_regs.si"];
    /// Fifth.
    compat_arg4: optional ["pt_regs.di"];
    /// Sixth.
    compat_arg5: optional ["pt_regs.bp"];
    /// `struct task_struct`: PF_ flags.
    task_flags: required ["task_struct.flags"];
    /// `struct task_struct`: TASK_ state (renamed in 5.14).
    task_state: required ["task_struct.__state", "task_struct.state"];
    /// `struct inode`: who has its lock.
    inode_lock_owner: optional ["inode.i_rwsem.owner"];
    /// `struct task_struct` -> kernel stack.
    task_stack: required ["task_struct.stack"];
    /// `struct inode` -> first of its names.
    inode_dentry: required ["inode.i_dentry.first"];
    /// `struct dentry`: where the inode's list of names goes through it.
    dentry_alias: required ["dentry.d_u.d_alias", "dentry.d_alias"];
    /// `struct super_block` -> root dentry.
    sb_root: required ["super_block.s_root"];
    /// `struct address_space` -> `struct inode *`.
    mapping_host: required ["address_space.host"];
    /// `struct folio` (a `struct page` until 5.15): flags.
    folio_flags: required ["folio.flags.f", "folio.flags", "page.flags"];
    /// -> `struct address_space *`.
    folio_mapping: required ["folio.mapping", "page.mapping"];
    /// Page number in the file.
    folio_index: required ["folio.index", "page.index"];
    /// Pages of a large folio.
    folio_pages: optional ["folio._nr_pages", "folio._folio_nr_pages"];
    /// `struct io_kiocb` -> `struct file *`.
    uring_file: optional ["io_kiocb.file"];
    /// `struct io_kiocb`: IORING_OP_.
    uring_opcode: optional ["io_kiocb.opcode"];
    /// `struct io_kiocb`: what is particular to an opcode.
    uring_command: optional ["io_kiocb.cmd", "io_kiocb.rw"];
    /// `struct io_kiocb` -> `struct io_ring_ctx *`.
    uring_ring: optional ["io_kiocb.ctx"];
    /// `struct io_kiocb`: the caller's own number.
    uring_user_data: optional ["io_kiocb.cqe.user_data", "io_kiocb.user_data"];
    /// `struct io_kiocb`: REQ_F_ flags.
    uring_flags: optional ["io_kiocb.flags"];
    /// `struct io_kiocb`: what the caller will be told.
    uring_result: optional ["io_kiocb.cqe.res"];
    /// `struct io_kiocb` -> this member of the next one that is done.
    uring_next: optional ["io_kiocb.comp_list.next"];
    /// `struct io_kiocb`: how many use it.
    uring_users: optional ["io_kiocb.refs.counter"];
    /// `struct io_kiocb`: the `struct io_wq_work` in it.
    uring_work: optional ["io_kiocb.work"];
    /// `struct io_ring_ctx` -> `comp_list` of the first that is done.
    uring_done: optional ["io_ring_ctx.submit_state.compl_reqs.first"];
    /// `struct io_rw`: position.
    uring_position: optional ["io_rw.kiocb.ki_pos"];
    /// `struct io_rw`: buffer or iovec.
    uring_address: optional ["io_rw.addr"];
    /// `struct io_rw`: bytes, or elements of the iovec.
    uring_length: optional ["io_rw.len"];
    /// `struct io_rw`: RWF_ flags, or IOCB_ flags with the same bits (5.10).
    uring_rw_flags: optional ["io_rw.flags", "io_rw.kiocb.ki_flags"];
    /// `struct request` -> `struct request_queue *`.
    rq_queue: required ["request.q"];
    /// `struct request`: operation and flags.
    rq_cmd_flags: required ["request.cmd_flags"];
    /// `struct request`: bytes left.
    rq_len: required ["request.__data_len"];
    /// `struct request`: sector.
    rq_sector: required ["request.__sector"];
    /// `struct request`: start of accounting, nanoseconds.
    rq_start: optional ["request.start_time_ns"];
    /// `struct request` -> partition (a `struct block_device` since 5.11; before, it has no device number at hand).
    rq_part: optional ["request.part"];
    /// `struct request` -> `struct gendisk *` (until 5.16).
    rq_disk: optional ["request.rq_disk"];
    /// `struct request_queue` -> `struct gendisk *` (since 5.15).
    queue_disk: optional ["request_queue.disk"];
    /// `struct gendisk`: major number.
    disk_major: required ["gendisk.major"];
    /// `struct gendisk`: first minor number.
    disk_minor: required ["gendisk.first_minor"];
    /// `struct block_device`: device number.
    bdev_dev: optional ["block_device.bd_dev"];
    /// `struct block_device` -> `struct gendisk *`.
    bdev_disk: optional ["block_device.bd_disk"];
    /// `struct gendisk` -> `struct block_device_operations *`.
    disk_driver: optional ["gendisk.fops"];
    /// `struct block_device_operations` -> function that takes bios; null where the driver takes requests.
    driver_submit: optional ["block_device_operations.submit_bio"];
    /// `struct bio` -> `struct block_device *` (since 5.12).
    bio_bdev: optional ["bio.bi_bdev"];
    /// `struct kiocb` -> `struct file *`.
    kiocb_file: optional ["kiocb.ki_filp"];
    /// Type of `struct kiocb`.
    type_kiocb: optional ["kiocb"];
    /// Type of `struct file`.
    type_file: optional ["file"];
    /// Type of `struct inode`.
    type_inode: optional ["inode"];
    /// Type of `struct super_block`.
    type_sb: optional ["super_block"];
    /// Type of `struct dentry`.
    type_dentry: optional ["dentry"];
    /// Type of `struct vfsmount`.
    type_vfsmount: optional ["vfsmount"];
    /// Type of `struct mount`.
    type_mount: optional ["mount"];
    /// Type of `struct task_struct`.
    type_task: optional ["task_struct"];
    /// Type of `struct request`.
    type_request: optional ["request"];
    /// Type of `struct bio`.
    type_bio: optional ["bio"];
    /// Number of a type that is two words of 64 bits.
    type_words: optional ["timespec64"];
    /// `struct task_struct` -> `struct cred *`.
    task_cred: optional ["task_struct.cred"];
    /// `struct cred`: real user id.
    cred_uid: optional ["cred.uid.val"];
    /// `struct request` -> first `struct bio`.
    rq_bio: required ["request.bio"];
    /// `struct request` -> last `struct bio`.
    rq_last_bio: required ["request.biotail"];
    /// `struct request` -> its CPU's `struct blk_mq_hw_ctx`.
    rq_queue_of_cpu: optional ["request.mq_hctx"];
    /// `struct request`: place in a list of `struct blk_flush_queue` (until 6.5 of its own).
    rq_flush_list: optional ["request.flush.list", "request.queuelist"];
    /// `struct blk_mq_hw_ctx` -> `struct blk_flush_queue`.
    cpu_queue_flush: optional ["blk_mq_hw_ctx.fq"];
    /// `struct blk_flush_queue`: a bit that says which list collects requests for the next flush.
    flush_pending: optional ["blk_flush_queue.flush_pending_idx"];
    /// `struct blk_flush_queue`: two lists of requests that wait for a flush.
    flush_waiting: optional ["blk_flush_queue.flush_queue"];
    /// `struct blk_flush_queue` -> the flush itself.
    flush_request: optional ["blk_flush_queue.flush_rq"];
    /// `struct bio` -> next one of the request.
    bio_next: required ["bio.bi_next"];
    /// `struct bio`: operation and flags.
    bio_flags: required ["bio.bi_opf"];
    /// `struct bio`: bytes.
    bio_size: required ["bio.bi_iter.bi_size"];
    /// `struct bio`: first sector.
    bio_sector: required ["bio.bi_iter.bi_sector"];
    /// `struct bio`: which part is next.
    bio_index: required ["bio.bi_iter.bi_idx"];
    /// `struct bio` -> its parts.
    bio_parts: required ["bio.bi_io_vec"];
    /// `struct bio` -> function at its end.
    bio_end: required ["bio.bi_end_io"];
    /// `struct bio`: what that function needs.
    bio_private: required ["bio.bi_private"];
    /// `struct page` of a large folio -> its first page, with a mark (renamed in Linux 7.1).
    page_head: required ["page.compound_head", "page.compound_info"];
    /// `struct inode` -> `struct address_space *`.
    inode_mapping: required ["inode.i_mapping"];
    /// `struct inode` of a device: its number.
    inode_device: required ["inode.i_rdev"];
    /// `struct buffer_head` -> function at its end.
    buffer_end: optional ["buffer_head.b_end_io"];
    /// `struct iomap_dio` -> `struct kiocb *`.
    direct_iocb: optional ["iomap_dio.iocb"];
    /// `struct btrfs_bio`: the `struct bio` in it.
    btrfs_bio: optional ["btrfs_bio.bio", "btrfs:btrfs_bio.bio"];
    /// `struct btrfs_bio` -> `struct btrfs_inode *` (since 6.4).
    btrfs_bio_inode: optional ["btrfs_bio.inode", "btrfs:btrfs_bio.inode"];
    /// `struct btrfs_inode`: the `struct inode` in it.
    btrfs_inode: optional ["btrfs_inode.vfs_inode", "btrfs:btrfs_inode.vfs_inode"];
    /// `struct dm_target_io`: the `struct bio` in it, which goes to what a mapped device stands on.
    mapped_bio: optional ["dm_target_io.clone", "dm_mod:dm_target_io.clone"];
    /// `struct dm_target_io` -> `struct dm_io *`.
    mapped_io: optional ["dm_target_io.io", "dm_mod:dm_target_io.io"];
    /// `struct dm_io` -> the `struct bio *` that came to the mapped device.
    mapped_whole: optional ["dm_io.orig_bio", "dm_mod:dm_io.orig_bio"];
    /// `struct dm_crypt_io` -> the `struct bio *` that is encrypted.
    crypt_bio: optional ["dm_crypt_io.base_bio", "dm_crypt:dm_crypt_io.base_bio"];
    /// `struct inode` of an overlay -> `struct dentry *` in the upper directory, null before the copy-up. Where overlayfs is a module that
    /// does not describe its types (until 5.11), or is loaded later: the member has stood behind the `struct inode` since 4.13.
    ovl_upper: optional [
        "ovl_inode.__upperdentry - ovl_inode.vfs_inode",
        "overlay:ovl_inode.__upperdentry - ovl_inode.vfs_inode",
        "sizeof inode",
    ];
    /// `struct inode` of an overlay -> `struct ovl_entry *` (since 6.5).
    ovl_entry: optional ["ovl_inode.oe - ovl_inode.vfs_inode", "overlay:ovl_inode.oe - ovl_inode.vfs_inode"];
    /// `struct ovl_entry`: lower layers that have the file.
    ovl_lowers: optional ["ovl_entry.__numlower", "overlay:ovl_entry.__numlower"];
    /// `struct ovl_entry`: `struct ovl_path`s of these.
    ovl_lower: optional ["ovl_entry.__lowerstack", "overlay:ovl_entry.__lowerstack"];
    /// `struct ovl_path` -> `struct dentry *`.
    ovl_path_dentry: optional ["ovl_path.dentry", "overlay:ovl_path.dentry"];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_structure_have_the_same_length() {
        assert_eq!(FIELDS.len() * 4, size_of::<KernelLayout>());
    }
}
