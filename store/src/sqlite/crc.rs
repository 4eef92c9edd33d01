//! A checksum per row, since SQLite keeps none: every column goes in, each with its length, so that no two rows share their bytes.

/// Collects the columns of a row.
pub(super) struct RowCrc(crc32fast::Hasher);

impl RowCrc {
    pub(super) fn new() -> Self {
        RowCrc(crc32fast::Hasher::new())
    }

    pub(super) fn int(mut self, x: i64) -> Self {
        self.0.update(&x.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, x: &[u8]) -> Self {
        self.0.update(&(x.len() as u64).to_le_bytes());
        self.0.update(x);
        self
    }

    pub(super) fn text(self, x: &str) -> Self {
        self.bytes(x.as_bytes())
    }

    /// As SQLite stores it.
    pub(super) fn done(self) -> i64 {
        self.0.finalize().into()
    }
}
