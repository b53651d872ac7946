#![allow(clippy::unwrap_used)]

use super::{
    Btf, BtfError, kind,
    testing::{Blob, running_kernel},
};

fn offset(blob: &Blob, path: &str) -> u32 {
    blob.btf().byte_offset(path).unwrap()
}

fn refusal(blob: &Blob, path: &str) -> String {
    blob.btf().byte_offset(path).unwrap_err().to_string()
}

/// A `struct outer` with an anonymous union that has an anonymous structure, a nested one and arrays.
fn blob() -> Blob {
    let mut blob = Blob::default();
    let int = blob.int("int", 4);
    let pair = blob.structure("", 8, &[("hash", int, 0), ("len", int, 32)]);
    let both = blob.union("", 8, &[("", pair, 0), ("hash_len", int, 0)]);
    let name = blob.structure("qstr", 16, &[("", both, 0), ("name", int, 64)]);
    let name = blob.constant(name);
    let name = blob.typedef("qstr_t", name);
    let pointer = blob.pointer(name);
    let pointers = blob.array(pointer, 4);
    let names = blob.array(name, 3);
    let grid = blob.array(names, 2);
    let open = blob.array(int, 0);
    let members = [
        ("first", int, 0),
        ("d_name", name, 64),
        ("pointers", pointers, 192),
        ("names", names, 448),
        ("grid", grid, 832),
        ("open", open, 1600),
    ];
    blob.structure("outer", 200, &members);
    blob.enumeration("ids", false, &[("one_id", 1), ("two_id", 2)]);
    blob
}

#[test]
fn members_are_found_through_anonymous_types_and_aliases() {
    let blob = blob();
    assert_eq!(offset(&blob, "outer.first"), 0);
    assert_eq!(offset(&blob, "outer.d_name"), 8);
    assert_eq!(offset(&blob, "outer.d_name.hash_len"), 8);
    assert_eq!(offset(&blob, "outer.d_name.len"), 12);
    assert_eq!(offset(&blob, "outer.d_name.name"), 16);
    assert_eq!(offset(&blob, "qstr.len"), 4);
}

#[test]
fn indices_are_numbers_or_enumerators_and_count_elements() {
    let blob = blob();
    assert_eq!(offset(&blob, "outer.pointers[0]"), 24);
    assert_eq!(offset(&blob, "outer.pointers[3]"), 24 + 3 * 8);
    assert_eq!(offset(&blob, "outer.pointers[two_id]"), 24 + 2 * 8);
    assert_eq!(offset(&blob, "outer.names[1].name"), 56 + 16 + 8);
    assert_eq!(offset(&blob, "outer.grid[1]"), 104 + 3 * 16);
    assert_eq!(offset(&blob, "outer.grid[1][2].len"), 104 + 5 * 16 + 4);
    assert_eq!(offset(&blob, "outer.open[5]"), 200 + 20);
}

#[test]
fn refusals_name_structure_and_member() {
    let blob = blob();
    assert_eq!(refusal(&blob, "foo.bar"), "no struct foo");
    assert_eq!(refusal(&blob, "qstr_t.name"), "no struct qstr_t");
    assert_eq!(refusal(&blob, "outer.d_foo"), "struct outer has no member d_foo");
    assert_eq!(refusal(&blob, "outer.d_name.d_foo"), "struct qstr has no member d_foo");
    assert_eq!(refusal(&blob, "outer.first.x"), "outer.first is neither a struct nor a union");
    assert_eq!(refusal(&blob, "outer.pointers[0].name"), "outer.pointers[0] is neither a struct nor a union");
    assert_eq!(refusal(&blob, "outer.first[0]"), "outer.first is not an array");
    assert_eq!(refusal(&blob, "outer.pointers[4]"), "outer.pointers has 4 elements, none with index 4");
    assert_eq!(refusal(&blob, "outer.pointers[x_id]"), "no enumerator x_id");
}

#[test]
fn paths_of_another_form_are_refused() {
    let btf = blob().btf();
    for path in ["", ".", "outer", "outer.", ".first", "outer..first", "outer.first[", "outer.first]", "outer.x[]"] {
        assert!(matches!(btf.byte_offset(path), Err(BtfError::Path(_))), "{path}");
    }
    for path in ["outer.names[1]x", "outer.[1]", "outer.grid[1]][2]", "outer.grid[[1]]"] {
        assert!(matches!(btf.byte_offset(path), Err(BtfError::Path(_))), "{path}");
    }
}

#[test]
fn bit_fields_have_an_offset_only_on_a_byte() {
    let mut blob = Blob::default();
    let int = blob.int("int", 4);
    let width = |bits: u32| bits << 24;
    let members = [("a", int, width(3)), ("b", int, width(5) | 3), ("c", int, width(8) | 8), ("plain", int, 32)];
    blob.structure_with_bit_fields("flags", 8, &members);
    assert_eq!(offset(&blob, "flags.a"), 0);
    assert_eq!(offset(&blob, "flags.c"), 1);
    assert_eq!(offset(&blob, "flags.plain"), 4);
    assert_eq!(refusal(&blob, "flags.b"), "flags.b is a bit field at bit 3: it has no byte offset");
}

#[test]
fn of_several_structures_the_first_with_the_member_counts() {
    let mut blob = Blob::default();
    let int = blob.int("int", 4);
    blob.structure("request", 8, &[("a", int, 32)]);
    blob.structure("request", 16, &[("a", int, 64), ("q", int, 96)]);
    blob.structure("request", 32, &[("q", int, 128)]);
    assert_eq!(offset(&blob, "request.a"), 4);
    assert_eq!(offset(&blob, "request.q"), 12);
    assert_eq!(refusal(&blob, "request.z"), "struct request has no member z");
}

#[test]
fn enumerations_of_32_and_64_bits_keep_their_sign() {
    let mut blob = Blob::default();
    blob.enumeration("unsigned", false, &[("big", -1), ("small", 1)]);
    blob.enumeration("signed", true, &[("negative", -2)]);
    blob.enumeration64("wide", true, &[("low", i64::MIN), ("high", 1 << 40)]);
    let btf = blob.btf();
    let values =
        |name: &str| btf.enumerators(name).map(|all| all.into_iter().map(|(_, value)| value).collect::<Vec<_>>());
    assert_eq!(values("unsigned").unwrap(), [i64::from(u32::MAX), 1]);
    assert_eq!(values("signed").unwrap(), [-2]);
    assert_eq!(values("wide").unwrap(), [i64::MIN, 1 << 40]);
    assert_eq!(btf.enumerators("wide").unwrap()[1].0, "high");
    assert_eq!(values("none"), None);
    assert_eq!(btf.enumerator("negative"), Some(-2));
    assert_eq!(btf.enumerator("high"), Some(1 << 40));
    assert_eq!(btf.enumerator("hig"), None);
}

#[test]
fn functions_and_tracepoints_tell_their_parameters() {
    let mut blob = Blob::default();
    let int = blob.int("int", 4);
    let status = blob.typedef("blk_status_t", int);
    let request = blob.structure("request", 4, &[("q", int, 0)]);
    let request = blob.pointer(request);
    let requests = blob.pointer(request);
    let data = blob.pointer(0);
    let text = blob.constant(int);
    let text = blob.pointer(text);
    let fixed = blob.constant(text);
    let prototype = blob.prototype(&[int, int]);
    let callback = blob.pointer(prototype);
    blob.function("vfs_read", prototype);
    let id = blob.tracepoint("block", &[data, request, requests, status, int, text, fixed, callback]);
    blob.tracepoint("empty", &[]);
    let btf = blob.btf();
    assert!(btf.function_exists("vfs_read"));
    assert!(!btf.function_exists("request"));
    assert_eq!(btf.function("vfs_read").map(|f| f.parameters), Some(2));
    assert_eq!(btf.function("vfs_write"), None);
    assert_eq!(
        btf.tracepoint_parameters("block").unwrap(),
        [
            "void *",
            "struct request *",
            "struct request **",
            "blk_status_t",
            "int",
            "const int *",
            "const int * const",
            "function *"
        ]
    );
    assert_eq!(btf.tracepoint_parameters("empty"), Some(vec![]));
    assert_eq!(btf.tracepoint_parameters("none"), None);
    assert_eq!(btf.tracepoint_type_id("block"), Some(id));
    assert_eq!(btf.tracepoint_type_id("none"), None);
}

#[test]
fn cycles_end() {
    let mut blob = Blob::default();
    // Ids in order: 1 refers to 2 and 2 to 1; 3 and 4 contain themselves many times over.
    blob.typedef("btf_trace_loop", 2);
    blob.constant(1);
    blob.structure("selfish", 4, &[("", 3, 0); 20]);
    blob.array(4, 2);
    blob.pointer(5);
    blob.structure("holder", 4, &[("alias", 1, 0), ("array", 4, 0), ("pointer", 5, 0)]);
    blob.tracepoint("deep", &[5, 1]);
    let btf = blob.btf();
    assert_eq!(refusal(&blob, "selfish.x"), "struct selfish has no member x");
    assert!(btf.byte_offset("holder.alias.x").is_err());
    assert!(btf.byte_offset("holder.array[1]").is_err());
    assert_eq!(btf.tracepoint_parameters("loop"), None);
    assert_eq!(btf.tracepoint_parameters("deep").unwrap().len(), 2);
}

#[test]
fn an_unknown_kind_is_skipped_where_the_file_says_how_long_it_is() {
    let mut blob = Blob::default();
    blob.record("", 40 << 24 | 3, 0, &[0; 7]);
    let int = blob.int("int", 4);
    blob.structure("file", 8, &[("f_pos", int, 32)]);
    let error = Btf::parse(blob.bytes()).unwrap_err().to_string();
    assert_eq!(error, "malformed BTF: type 1 has unknown kind 40");
    let mut sizes = [(0, 0); 41];
    sizes[40] = (4, 8);
    blob.layout(&sizes);
    assert_eq!(offset(&blob, "file.f_pos"), 4);
}

#[test]
fn files_that_are_no_btf_are_refused_with_the_reason() {
    let refusal = |bytes: Vec<u8>| Btf::parse(bytes).unwrap_err().to_string();
    assert_eq!(refusal(vec![]), "malformed BTF: shorter than its header");
    assert_eq!(refusal(vec![0; 24]), "malformed BTF: it does not begin with the bytes 9f eb");
    let mut bytes = blob().bytes();
    bytes.pop();
    assert_eq!(refusal(bytes), "malformed BTF: the string section ends after the file");
    let mut blob = blob();
    blob.record("", kind::STRUCT << 24 | 100, 0, &[]);
    assert_eq!(refusal(blob.bytes()), "malformed BTF: type 14 does not fit into the type section");
    assert_eq!(
        BtfError::Missing.to_string(),
        "no BTF at /sys/kernel/btf/vmlinux: kernel built without CONFIG_DEBUG_INFO_BTF"
    );
}

#[test]
fn the_running_kernel_has_what_every_kernel_has() {
    let Some(btf) = running_kernel() else { return };
    assert_eq!(btf.byte_offset("list_head.prev").unwrap(), 8);
    assert_eq!(btf.byte_offset("hlist_bl_node.pprev").unwrap(), 8);
    assert!(btf.function_exists("vfs_fsync_range"));
    assert_eq!(btf.function("vfs_fsync_range").map(|f| f.parameters), Some(4));
    let parameters = btf.tracepoint_parameters("sys_enter").unwrap();
    // The third is "long int" or "long", as the compiler calls it.
    assert_eq!((&*parameters[0], &*parameters[1], parameters.len()), ("void *", "struct pt_regs *", 3));
    assert!(btf.tracepoint_type_id("sys_enter").is_some());
    assert_eq!(btf.enumerator("PIDTYPE_TGID"), Some(1));
}

/// A kernel's types, and a module's that go on behind them: its structures have the kernel's in them, and names of both.
fn kernel_and_module() -> (Blob, Vec<u8>) {
    let mut kernel = Blob::default();
    let int = kernel.int("int", 4);
    let inner = kernel.structure("bio", 16, &[("bi_size", int, 32), ("bi_next", int, 64)]);
    let module = kernel.module(|module| {
        let own = module.structure("own_bio", 32, &[("inode", int, 0), ("bio", inner, 64)]);
        module.structure("outer", 64, &[("own", own, 128), ("bi_next", int, 0)]);
    });
    (kernel, module)
}

#[test]
fn a_module_goes_on_where_the_kernel_ends() {
    let (kernel, module) = kernel_and_module();
    let kernel = kernel.btf();
    let module = Btf::of_module(module, &kernel).unwrap();
    assert_eq!(module.byte_offset("own_bio.bio").unwrap(), 8);
    assert_eq!(module.byte_offset("own_bio.bio.bi_next").unwrap(), 16, "into the kernel's structure");
    assert_eq!(module.byte_offset("outer.own.bio.bi_size").unwrap(), 16 + 8 + 4);
    assert_eq!(module.byte_offset("outer.bi_next").unwrap(), 0, "a name that the kernel has");
    assert_eq!(module.structure_size("own_bio").unwrap(), 32);
    assert!(module.byte_offset("bio.bi_size").is_err(), "the kernel's own");
    assert!(kernel.byte_offset("own_bio.bio").is_err());
}

#[test]
fn a_module_alone_is_no_kernel() {
    let (_, module) = kernel_and_module();
    // What it refers to is not there.
    let alone = Btf::parse(module).unwrap();
    assert!(alone.byte_offset("own_bio.bio").is_err());
}
