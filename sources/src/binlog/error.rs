//! Why bytes of a log could not be read.

/// Why an event could not be decoded. The bytes before it were read; nothing after it is guessed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The event ends before its content does.
    #[error("the event ends in the middle of {what}")]
    Truncated {
        /// What was being read.
        what: &'static str,
    },
    /// The event contradicts itself or the table map.
    #[error("malformed event: {what}")]
    Malformed {
        /// What does not fit.
        what: String,
    },
    /// The CRC32 at the event's end is not that of its bytes: damaged on disk or on the way.
    #[error("checksum mismatch in an event of type {kind} that ends at {end}")]
    Checksum {
        /// The event's type number.
        kind: u8,
        /// Where it ends in its file.
        end: u32,
    },
    /// Right bytes that this reader refuses to interpret; `cure` is what to change.
    #[error("{what} cannot be read; {cure}")]
    Unsupported {
        /// What it is.
        what: String,
        /// What to do about it.
        cure: String,
    },
}

impl DecodeError {
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        DecodeError::Malformed { what: what.into() }
    }

    pub(crate) fn unsupported(what: impl Into<String>, cure: impl Into<String>) -> Self {
        DecodeError::Unsupported { what: what.into(), cure: cure.into() }
    }
}
