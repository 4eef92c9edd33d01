//! The home region of a derived table: its documents live as long as rows are in them, and their columns are their key.

use thalweg_formulas::Value;

use super::Region;
use crate::context::Context;
use crate::intake::RowMap;

impl Region {
    /// A row comes into the document, which the epoch touches.
    pub(super) fn join(&mut self, row: u32) {
        if self.home.as_mut().is_some_and(|home| home.members.join(row)) {
            self.set_alive(row, true);
        }
    }

    /// A row leaves the document, which the epoch touches.
    pub(super) fn leave(&mut self, row: u32) {
        if self.home.as_mut().is_some_and(|home| home.members.leave(row)) {
            self.set_alive(row, false);
        }
    }

    /// Writes the key into the columns of a document that is born.
    #[cold]
    pub(super) fn write_key(&mut self, row: u32, context: &Context) {
        let key = self.key(row, context);
        let columns = self.layout.derived_key.iter().flatten();
        for (slot, at) in columns {
            if let Some(old) = self.rows.write(row, *slot, key[*at].clone()) {
                self.rows.release(old);
            }
        }
        if self.keeps_whole_rows() {
            let names = context.key_names[self.layout.table.0 as usize].clone();
            let names = names.iter().flat_map(|names| names.iter().cloned().map(Value::text));
            self.put_whole(row, names.zip(key.iter().cloned()).collect::<RowMap>());
        }
    }
}
