//! Enumerations.

use super::{Btf, Type, kind};

impl Btf<'_> {
    /// Names and values of an enumeration in the order of its declaration; `None` without such an enumeration.
    ///
    /// Values of an unsigned 64-bit enumeration above `i64::MAX` wrap.
    pub fn enumerators(&self, enum_name: &str) -> Option<Vec<(String, i64)>> {
        let ty = self.types_named(enum_name).find(|ty| is_enumeration(*ty))?;
        let name = |offset| String::from_utf8_lossy(self.string(offset)).into_owned();
        Some(values(ty).map(|(offset, value)| (name(offset), value)).collect())
    }

    /// Value of an enumerator, whichever enumeration has it: the first one where several do.
    ///
    /// Reads all enumerations, some 30,000 names: a fraction of a millisecond.
    pub fn enumerator(&self, name: &str) -> Option<i64> {
        let mut all = self.types().filter(|ty| is_enumeration(*ty)).flat_map(values);
        all.find(|(offset, _)| self.is_string(*offset, name.as_bytes())).map(|(_, value)| value)
    }
}

fn is_enumeration(ty: Type<'_>) -> bool {
    matches!(ty.kind(), kind::ENUM | kind::ENUM64)
}

/// Offset of the name, and value. The flag says that values are signed.
fn values(ty: Type<'_>) -> impl Iterator<Item = (u32, i64)> {
    let wide = ty.kind() == kind::ENUM64;
    let narrow =
        (!wide).then(|| ty.entries::<2>()).into_iter().flatten().map(move |[name, value]| {
            (name, if ty.flag() { i64::from(value.cast_signed()) } else { i64::from(value) })
        });
    let wide = wide.then(|| ty.entries::<3>()).into_iter().flatten();
    narrow.chain(wide.map(|[name, low, high]| (name, (u64::from(high) << 32 | u64::from(low)).cast_signed())))
}
