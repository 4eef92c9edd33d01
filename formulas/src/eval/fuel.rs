//! Fuel: the bound on what one evaluation may do.

use super::DEPTH_MAX;
use crate::errors;
use crate::problem::Error;
use crate::value::Value;

/// What an evaluation may still spend. One unit is one node visited in a loop, or eight bytes produced or read through.
#[derive(Clone, Debug)]
pub struct Fuel {
    left: u64,
}

/// What one value costs beside the bytes that it points to: its 24 bytes.
const VALUE: u64 = 3;

impl Default for Fuel {
    /// Ten million units: at most 80 MB produced, and less than a second.
    fn default() -> Self {
        Fuel::new(10_000_000)
    }
}

impl Fuel {
    /// So many units.
    pub fn new(units: u64) -> Self {
        Fuel { left: units }
    }

    /// What is left.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Spends `units`.
    ///
    /// # Errors
    /// E0308 when there is not enough; then nothing is left.
    #[inline]
    pub fn spend(&mut self, units: u64) -> Result<(), Error> {
        match self.left.checked_sub(units) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(errors::out_of_fuel())
            }
        }
    }

    /// Spends what `n` bytes cost, before they are produced.
    ///
    /// # Errors
    /// E0308 when there is not enough.
    pub fn bytes(&mut self, n: usize) -> Result<(), Error> {
        self.spend(n as u64 / 8 + 1)
    }

    /// Spends what `n` scalar elements cost, before they are produced.
    ///
    /// # Errors
    /// E0308 when there is not enough.
    pub fn elements(&mut self, n: usize) -> Result<(), Error> {
        self.spend((n as u64).saturating_mul(VALUE))
    }

    /// Spends the logical size of `value`: what it would take written out, shared parts counted every time.
    ///
    /// # Errors
    /// E0308 when there is not enough, E0309 if it is nested deeper than [`DEPTH_MAX`] once put into one more list.
    pub fn weigh(&mut self, value: &Value) -> Result<(), Error> {
        self.weigh_at(value, 1)
    }

    fn weigh_at(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > DEPTH_MAX {
            return Err(errors::too_deep(DEPTH_MAX));
        }
        match value {
            Value::Text(text) => self.spend(VALUE + text.len() as u64 / 8),
            Value::Bytes(bytes) => self.spend(VALUE + bytes.len() as u64 / 8),
            Value::Tensor(tensor) => self.spend(VALUE + tensor.array().len() as u64),
            Value::List(items) => {
                self.spend(VALUE)?;
                items.iter().try_for_each(|item| self.weigh_at(item, depth + 1))
            }
            Value::Map(map) => {
                self.spend(VALUE)?;
                map.iter().try_for_each(|(key, value)| {
                    self.weigh_at(key, depth + 1)?;
                    self.weigh_at(value, depth + 1)
                })
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) => self.spend(VALUE),
            Value::Decimal(_) | Value::Timestamp(_) | Value::Duration(_) => self.spend(VALUE),
        }
    }
}
