//! Block requests: what their bytes are and whose, and sums of them.

mod charges;
mod sums;

pub use charges::{Charge, ChargedBy, Charger, Payer, What};
pub use sums::{By, Row, Sort, Sums, Totals};
