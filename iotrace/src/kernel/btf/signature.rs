//! Functions and tracepoints: whether they exist and what they take.

use super::{Btf, DEPTH, Type, kind};
use crate::kernel::functions::Function;

impl Btf<'_> {
    /// Whether the kernel has this function as a function of its own (not inlined everywhere).
    ///
    /// An attach can still fail: the function may be in a list of those that must not be traced.
    pub fn function_exists(&self, name: &str) -> bool {
        self.functions_named(name).next().is_some()
    }

    /// Id of a function.
    pub fn function_id(&self, name: &str) -> Option<u32> {
        self.functions_named(name).next().map(|ty| ty.id())
    }

    /// A function that is there as one of its own. Where several have the name (a real one and the stand-in of kernel/sys_ni.c), the
    /// one whose first parameter points to a known structure and is called `regs` counts.
    pub fn function(&self, name: &str) -> Option<Function> {
        let found = self.functions_named(name).filter_map(|ty| {
            let prototype = self.prototype(ty.size_or_type())?;
            let [parameter, pointer] = prototype.entries::<2>().next().unwrap_or_default();
            let target = self.resolve(pointer).filter(|ty| ty.kind() == kind::PTR).map(Type::size_or_type);
            let typed = target.and_then(|id| self.resolve(id)).is_some_and(|ty| ty.kind() == kind::STRUCT);
            let (id, prototype, parameters) = (ty.id(), prototype.id(), prototype.length());
            let function = Function { name: name.into(), id, prototype, typed, parameters, begins: true, quick: None };
            Some(((typed, self.is_string(parameter, b"regs")), function))
        });
        found.max_by_key(|(fit, _)| *fit).map(|(_, function)| function)
    }

    /// Type names of the arguments of a raw tracepoint's programs, in the order in which programs get them.
    ///
    /// The first is `void *` (the tracepoint's own data); programs see the ones after it. The source is
    /// `typedef void (*btf_trace_NAME)(void *__data, ...)`, include/trace/bpf_probe.h.
    ///
    /// Types are written as in C: `struct request *`, `const char *`, `blk_status_t`, `int`; but a pointer to a
    /// function is `function *`, and a nameless type `struct (anonymous)`.
    pub fn tracepoint_parameters(&self, name: &str) -> Option<Vec<String>> {
        let prototype = self.tracepoint(name)?.1;
        Some(prototype.entries::<2>().map(|[_, ty]| self.type_name(ty, DEPTH)).collect())
    }

    /// Id of the typedef `btf_trace_NAME`, by which a `tp_btf` program is attached.
    pub fn tracepoint_type_id(&self, name: &str) -> Option<u32> {
        Some(self.tracepoint(name)?.0.id())
    }

    /// The typedef and the prototype behind its pointer.
    fn tracepoint(&self, name: &str) -> Option<(Type<'_>, Type<'_>)> {
        let typedef = format!("btf_trace_{name}");
        let mut all = self.types_named(&typedef).filter(|ty| ty.kind() == kind::TYPEDEF);
        all.find_map(|ty| {
            let pointer = self.resolve(ty.id()).filter(|ty| ty.kind() == kind::PTR)?;
            Some((ty, self.prototype(pointer.size_or_type())?))
        })
    }

    fn prototype(&self, id: u32) -> Option<Type<'_>> {
        self.resolve(id).filter(|ty| ty.kind() == kind::FUNC_PROTO)
    }

    /// As C writes it, except for functions and arrays.
    fn type_name(&self, id: u32, depth: usize) -> String {
        let Some(ty) = self.ty(id) else {
            return if id == 0 { "void".into() } else { "(unknown)".into() };
        };
        let Some(depth) = depth.checked_sub(1) else { return "...".into() };
        let inner = |id| self.type_name(id, depth);
        let named = |what: &str| match ty.name() {
            [] => format!("{what} (anonymous)"),
            name => format!("{what} {}", String::from_utf8_lossy(name)),
        };
        let qualified = |qualifier: &str| {
            let name = inner(ty.size_or_type());
            if name.ends_with('*') { format!("{name} {qualifier}") } else { format!("{qualifier} {name}") }
        };
        match ty.kind() {
            kind::PTR => {
                let name = inner(ty.size_or_type());
                if name.ends_with('*') { format!("{name}*") } else { format!("{name} *") }
            }
            kind::ARRAY => format!("{} [{}]", inner(ty.word(0)), ty.word(2)),
            kind::STRUCT => named("struct"),
            kind::UNION => named("union"),
            kind::ENUM | kind::ENUM64 => named("enum"),
            kind::FWD => named(if ty.flag() { "union" } else { "struct" }),
            kind::VOLATILE => qualified("volatile"),
            kind::CONST => qualified("const"),
            kind::RESTRICT => qualified("restrict"),
            kind::TYPE_TAG => inner(ty.size_or_type()),
            kind::FUNC_PROTO => "function".into(),
            _ => String::from_utf8_lossy(ty.name()).into_owned(),
        }
    }
}
