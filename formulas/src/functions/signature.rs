//! What functions say about the types they take.

use std::sync::Arc;

use crate::types::Type;

/// A family of types that an argument may have. `Dyn` and `Null` are in every family.
#[derive(Clone, Copy)]
pub(super) enum Want {
    Any,
    Bool,
    /// int or uint
    Whole,
    /// int, uint, double or decimal
    Number,
    Text,
    List,
    Timestamp,
    Duration,
    /// text, bytes, list or map
    Sized,
}

impl Want {
    fn holds(self, t: &Type) -> bool {
        match (self, t) {
            (_, Type::Dyn | Type::Null) | (Want::Any, _) => true,
            (Want::Bool, t) => matches!(t, Type::Bool),
            (Want::Whole, t) => matches!(t, Type::Int | Type::Uint),
            (Want::Number, t) => t.is_numeric(),
            (Want::Text, t) => matches!(t, Type::Text),
            (Want::List, t) => matches!(t, Type::List(_)),
            (Want::Timestamp, t) => matches!(t, Type::Timestamp),
            (Want::Duration, t) => matches!(t, Type::Duration),
            (Want::Sized, t) => matches!(t, Type::Text | Type::Bytes | Type::List(_) | Type::Map(..)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Want::Any => "anything",
            Want::Bool => "a bool",
            Want::Whole => "an int",
            Want::Number => "a number",
            Want::Text => "text",
            Want::List => "a list",
            Want::Timestamp => "a timestamp",
            Want::Duration => "a duration",
            Want::Sized => "text, bytes, a list or a map",
        }
    }
}

/// `answer` if the arguments fit; the last family stands for all further arguments.
pub(super) fn takes(args: &[Type], wants: &[Want], answer: Type) -> Result<Type, String> {
    for (i, t) in args.iter().enumerate() {
        let want = wants.get(i).or(wants.last()).copied().unwrap_or(Want::Any);
        if !want.holds(t) {
            return Err(format!("argument {} must be {}, not {t}", i + 1, want.name()));
        }
    }
    Ok(answer)
}

/// The element type of a list; `Dyn` for what is not known to be one.
pub(super) fn item(t: &Type) -> Type {
    match t {
        Type::List(item) => (**item).clone(),
        _ => Type::Dyn,
    }
}

/// A list of `t`.
pub(super) fn list(t: Type) -> Type {
    Type::List(Arc::new(t))
}
