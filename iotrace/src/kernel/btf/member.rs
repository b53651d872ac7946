//! Where a member is.

use super::{Btf, BtfError, DEPTH, Type, kind};

/// Members that one lookup may read. Linux's largest structure has a few hundred; anonymous structures that contain
/// each other could otherwise take exponentially long.
const BUDGET: usize = 1 << 20;

/// Pointers are 64 bits wide on every machine iotrace supports.
const POINTER_SIZE: u64 = 8;

/// One member of a structure.
struct Member {
    /// From the start of the structure in which it was looked for, bits.
    bits: u64,
    type_id: u32,
}

impl Btf<'_> {
    /// Id of a structure.
    ///
    /// # Errors
    ///
    /// [`BtfError::NoStruct`].
    pub fn structure(&self, name: &str) -> Result<u32, BtfError> {
        let mut found = self.types_named(name).filter(|ty| ty.kind() == kind::STRUCT);
        found.next().map(|ty| ty.id()).ok_or_else(|| BtfError::NoStruct(name.to_owned()))
    }

    /// Bytes of a structure.
    ///
    /// # Errors
    ///
    /// [`BtfError::NoStruct`].
    pub fn structure_size(&self, name: &str) -> Result<u32, BtfError> {
        let mut found = self.types_named(name).filter(|ty| ty.kind() == kind::STRUCT);
        found.next().map(|ty| ty.size_or_type()).ok_or_else(|| BtfError::NoStruct(name.to_owned()))
    }

    /// Offset of a member from the start of a structure or union, bytes.
    ///
    /// `path` is `struct.member`, or goes on through members of members: `file.f_path.dentry`. `[N]` selects an
    /// element of an array; N is a number or an enumerator: `css_set.subsys[memory_cgrp_id]`. Members of anonymous
    /// structures and unions count as members of the structure around them; pointers are not followed. Where several
    /// structures have the name, the first one that has the members counts.
    ///
    /// # Errors
    ///
    /// Those of [`BtfError`] that name the structure and the member: [`BtfError::NoStruct`], [`BtfError::NoMember`],
    /// [`BtfError::NoMembers`], [`BtfError::NoArray`], [`BtfError::Index`], [`BtfError::NoEnumerator`],
    /// [`BtfError::BitField`]; [`BtfError::Path`] for a path of another form, [`BtfError::Malformed`] for types that
    /// cannot be.
    pub fn byte_offset(&self, path: &str) -> Result<u32, BtfError> {
        let bits = self.bit_offset(path)?;
        if !bits.is_multiple_of(8) {
            return Err(BtfError::BitField { path: path.to_owned(), bit: bits });
        }
        u32::try_from(bits / 8).map_err(|_| BtfError::Malformed(format!("{path} is beyond 4 GiB")))
    }

    /// The same in bits, for a member that may be a bit field.
    ///
    /// # Errors
    ///
    /// Those of [`Self::byte_offset`].
    pub fn bit_offset(&self, path: &str) -> Result<u64, BtfError> {
        let malformed_path = || BtfError::Path(path.to_owned());
        let (structure, members) = path.split_once('.').ok_or_else(malformed_path)?;
        let steps: Option<Vec<Step<'_>>> = members.split('.').map(Step::parse).collect();
        let steps = steps.filter(|_| !structure.is_empty()).ok_or_else(malformed_path)?;
        let mut budget = BUDGET;
        let mut first_error = None;
        for candidate in self.types_named(structure).filter(|ty| ty.is_aggregate()) {
            match self.walk(candidate, structure, &steps, &mut budget) {
                Ok(offset) => return Ok(offset),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| BtfError::NoStruct(structure.to_owned())))
    }

    fn walk(&self, from: Type<'_>, name: &str, steps: &[Step<'_>], budget: &mut usize) -> Result<u64, BtfError> {
        let mut path = name.to_owned();
        let mut at = Some(from);
        let mut bits = 0_u64;
        for step in steps {
            let aggregate = at.filter(|ty| ty.is_aggregate()).ok_or_else(|| BtfError::NoMembers(path.clone()))?;
            let member = self.member(aggregate, step.member.as_bytes(), DEPTH, budget);
            let member = member.ok_or_else(|| no_member(aggregate, &path, step.member))?;
            path = format!("{path}.{}", step.member);
            bits = bits.saturating_add(member.bits);
            let mut type_id = member.type_id;
            for index in step.indices() {
                let (element, offset) = self.element(type_id, &path, index)?;
                type_id = element;
                bits = bits.saturating_add(offset.saturating_mul(8));
                path = format!("{path}[{index}]");
            }
            at = self.resolve(type_id);
        }
        Ok(bits)
    }

    /// Looks in anonymous members too, in the order of declaration.
    fn member(&self, aggregate: Type<'_>, name: &[u8], depth: usize, budget: &mut usize) -> Option<Member> {
        let depth = depth.checked_sub(1)?;
        for [name_offset, type_id, offset] in aggregate.entries() {
            *budget = budget.checked_sub(1)?;
            // With the flag, the top eight bits are the width of a bit field (BTF_MEMBER_BIT_OFFSET).
            let bits = u64::from(if aggregate.flag() { offset & 0x00ff_ffff } else { offset });
            if self.is_string(name_offset, name) {
                return Some(Member { bits, type_id });
            }
            if !self.is_string(name_offset, b"") {
                continue;
            }
            let Some(inner) = self.resolve(type_id).filter(|ty| ty.is_aggregate()) else { continue };
            if let Some(found) = self.member(inner, name, depth, budget) {
                return Some(Member { bits: bits + found.bits, ..found });
            }
        }
        None
    }

    /// Type of an array's element, and its offset in bytes.
    fn element(&self, array: u32, path: &str, index: &str) -> Result<(u32, u64), BtfError> {
        let array = self.resolve(array).filter(|ty| ty.kind() == kind::ARRAY);
        let array = array.ok_or_else(|| BtfError::NoArray(path.to_owned()))?;
        let (element, length) = (array.word(0), array.word(2));
        let number = match index.parse() {
            Ok(number) => number,
            Err(_) => self
                .enumerator(index)
                .and_then(|value| u64::try_from(value).ok())
                .ok_or_else(|| BtfError::NoEnumerator(index.to_owned()))?,
        };
        // Length 0: an array at the end of a structure, as long as was allocated.
        if length != 0 && number >= u64::from(length) {
            return Err(BtfError::Index { path: path.to_owned(), length, index: number });
        }
        let size = self.size(element).ok_or_else(|| BtfError::Malformed(format!("elements of {path} have no size")))?;
        Ok((element, size.saturating_mul(number)))
    }

    /// Bytes that a value of the type takes; `None` for `void`, functions and cycles.
    fn size(&self, id: u32) -> Option<u64> {
        let mut count = 1_u64;
        let mut ty = self.resolve(id)?;
        for _ in 0..DEPTH {
            let size = match ty.kind() {
                kind::INT | kind::STRUCT | kind::UNION | kind::ENUM | kind::ENUM64 | kind::FLOAT => {
                    u64::from(ty.size_or_type())
                }
                kind::PTR => POINTER_SIZE,
                kind::ARRAY => {
                    count = count.checked_mul(u64::from(ty.word(2)))?;
                    ty = self.resolve(ty.word(0))?;
                    continue;
                }
                _ => return None,
            };
            return count.checked_mul(size);
        }
        None
    }
}

fn no_member(aggregate: Type<'_>, path: &str, member: &str) -> BtfError {
    let kind = if aggregate.kind() == kind::UNION { "union" } else { "struct" };
    let what = match aggregate.name() {
        [] => format!("anonymous {kind} {path}"),
        name => format!("{kind} {}", String::from_utf8_lossy(name)),
    };
    BtfError::NoMember { what, member: member.to_owned() }
}

/// `member`, `member[N]` or `member[N][M]`.
struct Step<'a> {
    member: &'a str,
    /// What follows the first `[`, without the last `]`.
    indices: Option<&'a str>,
}

impl<'a> Step<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let step = match text.split_once('[') {
            None => Self { member: text, indices: None },
            Some((member, rest)) => Self { member, indices: Some(rest.strip_suffix(']')?) },
        };
        let brackets = |index: &str| index.is_empty() || index.contains(['[', ']']);
        (!step.member.is_empty() && !step.member.contains(']') && !step.indices().any(brackets)).then_some(step)
    }

    fn indices(&self) -> impl Iterator<Item = &'a str> {
        self.indices.into_iter().flat_map(|indices| indices.split("]["))
    }
}
