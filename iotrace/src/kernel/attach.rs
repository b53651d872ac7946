//! Loading and attaching the programs of a subject.

use crate::kernel::{
    block::BlockFacts,
    btf::Btf,
    functions::Function,
    link,
    mechanism::{Entry, Mechanism, Place, Subject, When, entries},
    object::Object,
    program::{self, Kind, Loaded, Refused},
    sys,
};
use aya_obj::generated::{bpf_cmd, bpf_map_type};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

/// What decides which programs are used, and where they go.
pub struct Kernel<'a> {
    /// The kernel's types.
    pub btf: &'a Btf,
    /// Its block tracepoints.
    pub block: &'a BlockFacts,
    /// Functions of the system calls that are traced.
    pub functions: &'a [Function],
}

/// Attached programs. Dropped, they are detached.
#[derive(Default)]
pub struct Attached {
    /// What keeps programs running, and when it ends.
    held: Vec<(Stage, Held)>,
    /// Runs that the kernel skipped at probes that were taken away.
    missed: u64,
    /// What holds jumps in their places: the kernel waits for each of them when it is taken away, a tenth of a second on some
    /// kernels (synchronize_rcu_tasks in kernel/trace/ftrace.c).
    slow_links: Vec<OwnedFd>,
    /// The programs in these places.
    programs: Vec<Loaded>,
}

/// The order in which programs are stopped: no call may be seen to begin whose end is not, nor a thread to end in such a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    CallBegin,
    Other,
    CallEnd,
}

impl Stage {
    fn of(place: Place) -> Self {
        match place {
            Place::CallBegin | Place::Tracepoint("sys_enter") => Self::CallBegin,
            Place::CallEnd { .. } | Place::Tracepoint("sys_exit") => Self::CallEnd,
            Place::Tracepoint(_) | Place::Begin(_) | Place::End(_) => Self::Other,
        }
    }
}

/// What keeps a program running, and can be taken away at once.
enum Held {
    /// A place.
    Link(#[expect(dead_code, reason = "held until it is dropped")] OwnedFd),
    /// Probes at many functions.
    Probes(OwnedFd),
    /// An array with a program that others go on with.
    Target {
        /// It stays loaded as long as it stands in the array.
        _body: Loaded,
        array: OwnedFd,
    },
}

impl Attached {
    /// Adds what another subject has.
    pub fn join(&mut self, other: Self) {
        self.held.extend(other.held);
        self.missed += other.missed;
        self.slow_links.extend(other.slow_links);
        self.programs.extend(other.programs);
    }

    /// The programs.
    pub fn programs(&self) -> &[Loaded] {
        &self.programs
    }

    /// Runs of programs that the kernel skipped.
    pub fn misses(&self) -> u64 {
        let programs: u64 = self.programs.iter().map(Loaded::misses).sum();
        let probes = self.held.iter().map(|(_, held)| match held {
            Held::Probes(link) => link::probe_multi_misses(link),
            Held::Link(_) | Held::Target { .. } => 0,
        });
        programs + self.missed + probes.sum::<u64>()
    }

    /// Stops all programs. What the kernel takes long to take away is returned: it does nothing any more.
    pub fn stop(&mut self) -> Vec<OwnedFd> {
        self.held.sort_by_key(|(stage, _)| *stage);
        for (_, held) in self.held.drain(..) {
            match &held {
                Held::Link(_) => {}
                Held::Probes(link) => self.missed += link::probe_multi_misses(link),
                // Should the kernel refuse, the end of the array does the same a little later.
                Held::Target { array, .. } => drop(set_target(array, None)),
            }
        }
        std::mem::take(&mut self.slow_links)
    }

    /// Puts a program at a place through one that goes on with it.
    fn through(&mut self, stage: Stage, body: Loaded, places: impl IntoIterator<Item = Jump>) -> Result<(), Refused> {
        let name = body.name;
        let refused = |error: io::Error| Refused::attaching(name, &error);
        let array = program_array().map_err(refused)?;
        set_target(&array, Some(&body)).map_err(refused)?;
        for place in places {
            match place {
                Jump::Function(kind) => {
                    let jump = program::load_jump(name, kind, array.as_fd())?;
                    self.slow_links.push(link::attach(&jump)?);
                    self.programs.push(jump);
                }
                Jump::Probes { kind, names, at_return } => {
                    let jump = program::load_jump(name, Kind::Probe, array.as_fd())?;
                    for function in names {
                        self.slow_links.push(link::probe(&jump, kind, &function, at_return).map_err(refused)?);
                    }
                    self.programs.push(jump);
                }
            }
        }
        self.held.push((stage, Held::Target { _body: body, array }));
        Ok(())
    }
}

/// Where a program that goes on with another is put.
enum Jump {
    Function(Kind),
    Probes { kind: u32, names: Vec<String>, at_return: bool },
}

/// Whether an entry is used on this kernel.
pub fn applies(entry: &Entry, kernel: &Kernel<'_>) -> bool {
    let arguments = || match entry.place {
        // The first parameter is the tracepoint's own.
        Place::Tracepoint(name) => kernel.btf.tracepoint_parameters(name).map(|all| all.len() - 1),
        Place::Begin(_) | Place::End(_) | Place::CallBegin | Place::CallEnd { .. } => None,
    };
    match entry.when {
        When::Always => true,
        When::IfPresent => arguments().is_some(),
        When::Arguments(wanted) => arguments() == Some(wanted),
        When::QueueFirst => kernel.block.queue_argument,
        When::RequestFirst => !kernel.block.queue_argument,
        When::FindsMappings => kernel.btf.function_exists("bpf_find_vma"),
        When::NoMappings => !kernel.btf.function_exists("bpf_find_vma"),
    }
}

/// Attaches all programs of a subject.
///
/// # Errors
///
/// The first refusal; nothing is attached then.
pub fn subject(
    object: &Object,
    subject: Subject,
    mechanism: Mechanism,
    kernel: &Kernel<'_>,
) -> Result<Attached, Refused> {
    let mut attached = Attached::default();
    for entry in entries(subject, mechanism).iter().filter(|entry| applies(entry, kernel)) {
        match entry.place {
            Place::Tracepoint(name) => {
                let id = kernel.btf.tracepoint_type_id(name).ok_or_else(|| Refused::no_place(entry.program, name))?;
                let program = object.load(entry.program, Kind::Tracepoint(id))?;
                attached.held.push((Stage::of(entry.place), Held::Link(link::attach(&program)?)));
                attached.programs.push(program);
            }
            Place::Begin(name) => one_function(object, &mut attached, entry, kernel, mechanism, (name, false))?,
            Place::End(name) => one_function(object, &mut attached, entry, kernel, mechanism, (name, true))?,
            Place::CallBegin if mechanism == Mechanism::Kprobe => probes(object, &mut attached, entry, kernel, false)?,
            Place::CallEnd { .. } if mechanism == Mechanism::Kprobe => {
                probes(object, &mut attached, entry, kernel, true)?;
            }
            Place::CallBegin | Place::CallEnd { .. } => trampolines(object, &mut attached, entry, kernel)?,
        }
    }
    Ok(attached)
}

/// Puts a program at the beginning or the end of one function.
fn one_function(
    object: &Object,
    attached: &mut Attached,
    entry: &Entry,
    kernel: &Kernel<'_>,
    mechanism: Mechanism,
    (function, at_end): (&str, bool),
) -> Result<(), Refused> {
    let no_place = || Refused::no_place(entry.program, function);
    let (program, link) = if mechanism == Mechanism::Kprobe {
        let kind = link::probe_type().ok_or_else(|| Refused::no_place(entry.program, "kprobes"))?;
        let program = object.load(entry.program, Kind::Probe)?;
        let link = link::probe(&program, kind, function, at_end)
            .map_err(|error| Refused::attaching(entry.program, &error))?;
        (program, link)
    } else {
        let id = kernel.btf.function(function).ok_or_else(no_place)?.id;
        let program = object.load(entry.program, if at_end { Kind::Fexit(id) } else { Kind::Fentry(id) })?;
        let link = link::attach(&program)?;
        (program, link)
    };
    attached.slow_links.push(link);
    attached.programs.push(program);
    Ok(())
}

/// Puts one program at all functions, through programs that go on with it: the verifier looks at it once. The kernel lets a program
/// go on with another only where both were made for functions with the same prototype (since 5.19).
fn trampolines(object: &Object, attached: &mut Attached, entry: &Entry, kernel: &Kernel<'_>) -> Result<(), Refused> {
    let (kind, numbered, at_end): (fn(u32) -> Kind, _, _) = match entry.place {
        Place::CallEnd { numbered } => (Kind::Fexit, numbered, true),
        _ => (Kind::Fentry, None, false),
    };
    let functions = || kernel.functions.iter().filter(|function| at_end || function.begins);
    // What has no type of its own goes with the first that has: only kernels before 5.19 have such functions.
    let fallback = |function: &Function| {
        let typed = |other: &&Function| other.typed && other.parameters == function.parameters;
        kernel.functions.iter().find(typed).map_or(function.prototype, |other| other.prototype)
    };
    let group_of = |function: &Function| if function.typed { function.prototype } else { fallback(function) };
    let mut groups: Vec<u32> = functions().map(group_of).collect();
    groups.sort_unstable();
    groups.dedup();
    for prototype in groups {
        let is_of_group = |function: &&Function| group_of(function) == prototype;
        // The program need not be made for a function at which it is put.
        let Some(first) = kernel.functions.iter().filter(is_of_group).max_by_key(|function| function.typed) else {
            continue;
        };
        let name = numbered.filter(|_| first.parameters > 1).unwrap_or(entry.program);
        let body = object.load(name, kind(first.id))?;
        let places = functions().filter(is_of_group).map(|function| Jump::Function(kind(function.id)));
        attached.through(Stage::of(entry.place), body, places)?;
    }
    Ok(())
}

/// Puts one program at all functions with probes: at all at once, where the kernel can do that.
fn probes(
    object: &Object,
    attached: &mut Attached,
    entry: &Entry,
    kernel: &Kernel<'_>,
    at_return: bool,
) -> Result<(), Refused> {
    let names = || kernel.functions.iter().map(|function| function.name.as_str());
    if let Ok(program) = object.load(entry.program, Kind::ProbeMulti)
        && let Ok(link) = link::probe_multi(&program, &names().collect::<Vec<_>>(), at_return)
    {
        attached.held.push((Stage::of(entry.place), Held::Probes(link)));
        attached.programs.push(program);
        return Ok(());
    }
    let kind = link::probe_type().ok_or_else(|| Refused::no_place(entry.program, "kprobes"))?;
    let body = object.load(entry.program, Kind::Probe)?;
    let stage = Stage::of(entry.place);
    attached.through(stage, body, [Jump::Probes { kind, names: names().map(str::to_owned).collect(), at_return }])
}

/// An array for one program.
fn program_array() -> io::Result<OwnedFd> {
    let mut attr = sys::attributes();
    // SAFETY: all fields of this union are plain numbers.
    let fields = unsafe { &mut attr.__bindgen_anon_1 };
    fields.map_type = bpf_map_type::BPF_MAP_TYPE_PROG_ARRAY as u32;
    (fields.key_size, fields.value_size, fields.max_entries) = (4, 4, 1);
    // SAFETY: the command reads numbers only.
    unsafe { sys::bpf_fd(bpf_cmd::BPF_MAP_CREATE, &mut attr) }
}

/// Puts a program into the array, or takes it out: from then on jumps lead nowhere.
fn set_target(array: &OwnedFd, program: Option<&Loaded>) -> io::Result<()> {
    let key = 0_u32;
    let value = program.map_or(0, |program| program.fd.as_raw_fd() as u32);
    let mut attr = sys::attributes();
    // SAFETY: all fields of this union are plain numbers.
    let fields = unsafe { &mut attr.__bindgen_anon_2 };
    fields.map_fd = array.as_raw_fd() as u32;
    fields.key = (&raw const key) as u64;
    let command = if program.is_some() {
        fields.__bindgen_anon_1.value = (&raw const value) as u64;
        bpf_cmd::BPF_MAP_UPDATE_ELEM
    } else {
        bpf_cmd::BPF_MAP_DELETE_ELEM
    };
    // SAFETY: key and value outlive the call.
    unsafe { sys::bpf(command, &mut attr) }.map(drop)
}
