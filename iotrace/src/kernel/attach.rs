//! Loading and attaching the programs of a subject.

use crate::kernel::{
    block::BlockFacts,
    btf::Btf,
    calls::Quick,
    functions::Function,
    link,
    mechanism::{Entry, Mechanism, Place, Subject, entries, iterator, quick},
    object::{Object, Wanted},
    program::{self, Kind, Loaded, Refused},
    sys,
    wanted::{applies, at_function, at_tracepoint, before_tracepoint, bodies, probe_kind},
};
use aya_obj::generated::{bpf_cmd, bpf_map_type};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

/// The section of the variables of the kernel side: there is one, by which programs of usual cases are stopped.
const STOPPED: &str = ".bss";

/// What decides which programs are used, and where they go.
pub struct Kernel<'a> {
    /// The kernel's types.
    pub btf: &'a Btf<'a>,
    /// Its block tracepoints.
    pub block: &'a BlockFacts,
    /// Functions of the system calls that are traced.
    pub functions: &'a [Function],
    /// Whether programs at tracepoints can be preempted ([`crate::kernel::preemption::of_tracepoints`]).
    pub preempted: bool,
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
    /// The programs in these places; together those at one tracepoint, of which each does what was skipped for those before it.
    programs: Vec<Vec<Loaded>>,
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
        body: Loaded,
        array: OwnedFd,
    },
    /// The variable by which programs of usual cases are stopped.
    Stopped(OwnedFd),
}

impl Attached {
    /// Adds what another subject has.
    pub fn join(&mut self, other: Self) {
        self.held.extend(other.held);
        self.missed += other.missed;
        self.slow_links.extend(other.slow_links);
        self.programs.extend(other.programs);
    }

    /// The programs, and those with which they go on.
    pub fn programs(&self) -> impl Iterator<Item = &Loaded> {
        let bodies = self.held.iter().filter_map(|(_, held)| match held {
            Held::Target { body, .. } => Some(body),
            Held::Link(_) | Held::Probes(_) | Held::Stopped(_) => None,
        });
        self.programs.iter().flatten().chain(bodies)
    }

    /// Runs of programs that the kernel skipped. Where several are at one place, what was skipped for all of them is no more than what
    /// was for one.
    pub fn misses(&self) -> u64 {
        let of_place = |programs: &Vec<Loaded>| programs.iter().map(Loaded::misses).min().unwrap_or_default();
        let programs: u64 = self.programs.iter().map(of_place).sum();
        let probes = self.held.iter().map(|(_, held)| match held {
            Held::Probes(link) => link::probe_multi_misses(link),
            Held::Link(_) | Held::Target { .. } | Held::Stopped(_) => 0,
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
                Held::Stopped(variable) => drop(set(variable, Some(1))),
            }
        }
        std::mem::take(&mut self.slow_links)
    }

    /// Puts a program at a place through one that goes on with it.
    fn through(
        &mut self,
        object: &Object,
        stage: Stage,
        body: Loaded,
        places: impl IntoIterator<Item = Jump>,
    ) -> Result<(), Refused> {
        let name = body.name;
        let refused = |error: io::Error| Refused::attaching(name, &error);
        let array = program_array().map_err(refused)?;
        set_target(&array, Some(&body)).map_err(refused)?;
        for place in places {
            match place {
                Jump::Function(kind) => {
                    let jump = program::load_jump(name, kind, array.as_fd())?;
                    self.slow_links.push(link::attach(&jump)?);
                    self.programs.push(vec![jump]);
                }
                Jump::Quick { program, kind, call } => {
                    let quick = object.load_quick(program, kind, call, array.as_fd())?;
                    self.slow_links.push(link::attach(&quick)?);
                    self.programs.push(vec![quick]);
                }
                Jump::Probes { kind, names, at_return } => {
                    let jump = program::load_jump(name, Kind::Probe, array.as_fd())?;
                    for function in names {
                        self.slow_links.push(link::probe(&jump, kind, &function, at_return).map_err(refused)?);
                    }
                    self.programs.push(vec![jump]);
                }
            }
        }
        self.held.push((stage, Held::Target { body, array }));
        Ok(())
    }
}

/// Where a program that goes on with another is put.
enum Jump {
    Function(Kind),
    /// One that does usual cases itself.
    Quick {
        program: &'static str,
        kind: Kind,
        call: Quick,
    },
    Probes {
        kind: u32,
        names: Vec<String>,
        at_return: bool,
    },
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
    let used = || entries(subject, mechanism).iter().filter(|entry| applies(entry, kernel));
    if let (Some(member), Some(entry)) =
        (subject.members(mechanism).iter().find(|member| kernel.btf.byte_offset(member).is_err()), used().next())
    {
        return Err(Refused::no_place(entry.program, member));
    }
    let mut attached = Attached::default();
    let calls = || kernel.functions.iter().map(|function| function.name.as_str());
    for entry in used() {
        match entry.place {
            Place::Tracepoint(name) => {
                let id = kernel.btf.tracepoint_type_id(name).ok_or_else(|| Refused::no_place(entry.program, name))?;
                let before = before_tracepoint(entry, subject, kernel);
                let before = before.and_then(|wanted| probe_iterator(object, wanted, name));
                let (mut links, mut programs): (Vec<_>, Vec<_>) = before.into_iter().unzip();
                for (program, kind) in at_tracepoint(entry, subject, id, kernel, !programs.is_empty()) {
                    let program = object.load(program, kind)?;
                    links.push(link::attach(&program)?);
                    programs.push(program);
                }
                attached.held.extend(links.into_iter().map(|link| (Stage::of(entry.place), Held::Link(link))));
                attached.programs.push(programs);
            }
            Place::Begin(names) if mechanism == Mechanism::Fentry => {
                let name = names.first().copied().unwrap_or_default();
                trampoline(object, &mut attached, entry, kernel, name, Kind::Fentry)?;
            }
            Place::End(name) if mechanism == Mechanism::Fentry => {
                trampoline(object, &mut attached, entry, kernel, name, Kind::Fexit)?;
            }
            Place::CallBegin if mechanism == Mechanism::Kprobe => probes(object, &mut attached, entry, calls(), false)?,
            Place::CallEnd { .. } if mechanism == Mechanism::Kprobe => {
                probes(object, &mut attached, entry, calls(), true)?;
            }
            Place::CallBegin | Place::CallEnd { .. } => trampolines(object, &mut attached, entry, kernel)?,
            Place::Begin(names) => {
                let there = names.iter().copied().filter(|name| kernel.btf.function_exists(name));
                probes(object, &mut attached, entry, there, false)?;
            }
            Place::End(name) => {
                let there = kernel.btf.function_exists(name).then_some(name);
                probes(object, &mut attached, entry, there.into_iter(), true)?;
            }
        }
    }
    Ok(attached)
}

/// Puts a probe at what calls the programs of a tracepoint. Where the kernel does not let it be there, programs at the tracepoint must do.
fn probe_iterator(object: &Object, (program, kind): Wanted, tracepoint: &str) -> Option<(OwnedFd, Loaded)> {
    let program = object.load(program, kind).ok()?;
    let link = link::probe_multi(&program, &[&iterator(tracepoint)], false).ok()?;
    Some((link, program))
}

/// Puts a program at one function.
fn trampoline(
    object: &Object,
    attached: &mut Attached,
    entry: &Entry,
    kernel: &Kernel<'_>,
    function: &str,
    kind: fn(u32) -> Kind,
) -> Result<(), Refused> {
    let function = kernel.btf.function(function).ok_or_else(|| Refused::no_place(entry.program, function))?;
    let program = object.load(entry.program, kind(function.id))?;
    attached.slow_links.push(link::attach(&program)?);
    attached.programs.push(vec![program]);
    Ok(())
}

/// Puts one program at all functions, through programs that go on with it: the verifier looks at it once.
fn trampolines(object: &Object, attached: &mut Attached, entry: &Entry, kernel: &Kernel<'_>) -> Result<(), Refused> {
    for body in bodies(entry, kernel) {
        let loaded = object.load(body.program, body.kind)?;
        let places = body.places.iter().map(|function| {
            let kind = at_function(entry, function);
            let usual = function.quick.and_then(|call| Some((quick(entry.place, call.kind)?, call)));
            usual.map_or(Jump::Function(kind), |(program, call)| Jump::Quick { program, kind, call })
        });
        attached.through(object, Stage::of(entry.place), loaded, places)?;
    }
    if kernel.functions.iter().any(|function| function.quick.is_some()) {
        let variable = object.map(STOPPED).map_err(|error| Refused::attaching(entry.program, &error))?;
        attached.held.push((Stage::of(entry.place), Held::Stopped(variable)));
    }
    Ok(())
}

/// Puts one program at functions with probes: at all at once, where the kernel can do that.
fn probes<'a>(
    object: &Object,
    attached: &mut Attached,
    entry: &Entry,
    names: impl Iterator<Item = &'a str>,
    at_return: bool,
) -> Result<(), Refused> {
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return Err(Refused::no_place(entry.program, entry.place.first()));
    }
    if probe_kind() == Some(Kind::ProbeMulti)
        && let Ok(program) = object.load(entry.program, Kind::ProbeMulti)
        && let Ok(link) = link::probe_multi(&program, &names, at_return)
    {
        attached.held.push((Stage::of(entry.place), Held::Probes(link)));
        attached.programs.push(vec![program]);
        return Ok(());
    }
    let kind = link::probe_type().ok_or_else(|| Refused::no_place(entry.program, "kprobes"))?;
    let body = object.load(entry.program, Kind::Probe)?;
    let stage = Stage::of(entry.place);
    let names = names.into_iter().map(str::to_owned).collect();
    attached.through(object, stage, body, [Jump::Probes { kind, names, at_return }])
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
    set(array, program.map(|program| program.fd.as_raw_fd() as u32))
}

/// Sets the only value of a map, or takes it out.
fn set(map: &OwnedFd, value: Option<u32>) -> io::Result<()> {
    let (key, given) = (0_u32, value.unwrap_or_default());
    let mut attr = sys::attributes();
    // SAFETY: all fields of this union are plain numbers.
    let fields = unsafe { &mut attr.__bindgen_anon_2 };
    fields.map_fd = map.as_raw_fd() as u32;
    fields.key = (&raw const key) as u64;
    let command = if value.is_some() {
        fields.__bindgen_anon_1.value = (&raw const given) as u64;
        bpf_cmd::BPF_MAP_UPDATE_ELEM
    } else {
        bpf_cmd::BPF_MAP_DELETE_ELEM
    };
    // SAFETY: key and value outlive the call.
    unsafe { sys::bpf(command, &mut attr) }.map(drop)
}
