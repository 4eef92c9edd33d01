//! Aggregates over child rows, JSON arrays and list fields: a constructor for each aggregate of the formula language.
//!
//! A [`Pattern`] says what is aggregated and, where that counts, in which order. Texts stand for patterns, so the seed's
//! `Derived::window_avg("Document.values", 30)` reads as it is written.
//!
//! ```
//! use thalweg::prelude::*;
//!
//! let mut graph = Graph::new();
//! graph.state(State::document("Sensor").key("id").children("points", "Point", "sensor"));
//! graph.state(State::document("Point").key("id"));
//! graph.derived("Sensor.now", Derived::last(Pattern::new("Sensor.points[*].value").by("Sensor.points[*].at")));
//! graph.derived("Sensor.best", Derived::top(Pattern::new("Sensor.points[*].value").by("Sensor.points[*].value"), 2));
//! graph.derived("Sensor.mean", Derived::window_avg("Sensor.points[*].value", 2));
//! graph.derived("Sensor.trend", Derived::corr("Sensor.points[*].at", "Sensor.points[*].value"));
//!
//! let mut live = graph.start()?;
//! let point = |id, at, value| [("id", id), ("sensor", 1), ("at", at), ("value", value)];
//! live.apply(Changes::new("tx-1")
//!     .insert("Sensor", [("id", 1)])
//!     .insert("Point", point(1, 30, 5))
//!     .insert("Point", point(2, 20, 7))
//!     .insert("Point", point(3, 10, 9)));
//!
//! assert_eq!(live.get("Sensor.now", [1]), Some(Ok(Value::Int(5))));
//! assert_eq!(live.get("Sensor.best", [1]), Some(Ok(Value::list([Value::Int(9), Value::Int(7)]))));
//! assert_eq!(live.get("Sensor.mean", [1]), Some(Ok(Value::double(8.0))));
//! assert_eq!(live.get("Sensor.trend", [1]), Some(Ok(Value::double(-1.0))));
//! # Ok::<(), DefinitionError>(())
//! ```

use thalweg_formulas::Value;
use thalweg_formulas::ast::Ast;

use super::definition::Derived;

/// What is aggregated: a path with `[*]` (each child row, each element of a JSON array), or the path of a list.
#[derive(Clone, Debug)]
pub struct Pattern {
    path: String,
    by: Option<String>,
}

impl Pattern {
    /// `"Document.items[*].price"`.
    pub fn new(path: &str) -> Pattern {
        Pattern { path: path.into(), by: None }
    }

    /// The order of the rows, by another value of each; without, they stand in the order of their keys, elements in that of their places.
    pub fn by(mut self, path: &str) -> Pattern {
        self.by = Some(path.into());
        self
    }
}

impl From<&str> for Pattern {
    fn from(path: &str) -> Pattern {
        Pattern::new(path)
    }
}

/// `name(path, parameter, by)`
fn aggregate(name: &str, pattern: impl Into<Pattern>, parameter: Option<Value>) -> Derived {
    let Pattern { path, by } = pattern.into();
    let parameter = parameter.map(|parameter| Ast::literal(parameter).to_string());
    let args: Vec<String> = std::iter::once(path).chain(parameter).chain(by).collect();
    Derived::formula(&format!("{name}({})", args.join(", ")))
}

/// A constructor of an aggregate without parameters.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl Derived {
            $($(#[$doc])* pub fn $name(pattern: impl Into<Pattern>) -> Derived {
                aggregate(stringify!($name), pattern, None)
            })*
        }
    };
}

plain! {
    /// Sum; of nothing, 0.
    sum;
    /// How many are not NULL.
    count;
    /// Mean; of nothing, NULL.
    avg;
    /// Least; of nothing, NULL.
    min;
    /// Greatest; of nothing, NULL.
    max;
    /// How many different values; numbers count by value, so 1 and 1.0 are one.
    count_distinct;
    /// Whether one is true; of nothing, false.
    any;
    /// Whether all are true; of nothing, true.
    all;
    /// Variance of a sample; NULL of fewer than two.
    var;
    /// Variance of all there is; of nothing, NULL.
    var_pop;
    /// Standard deviation of a sample.
    stddev;
    /// Standard deviation of all there is.
    stddev_pop;
    /// The value in the middle, or between the two in the middle.
    median;
    /// The first; of nothing, NULL.
    first;
    /// The last; of nothing, NULL.
    last;
    /// All that are not NULL, as a list.
    collect;
}

/// A constructor of an aggregate with a number of rows.
macro_rules! counted {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl Derived {
            $($(#[$doc])* pub fn $name(pattern: impl Into<Pattern>, n: u32) -> Derived {
                aggregate($text, pattern, Some(Value::Int(n.into())))
            })*
        }
    };
}

counted! {
    /// The first `n`, as a list.
    first_n = "first";
    /// The last `n`, as a list, the oldest first.
    last_n = "last";
    /// The values of the `n` rows with the greatest of what [`Pattern::by`] says, the greatest first.
    top = "top";
    /// The values of the `n` rows with the least of what [`Pattern::by`] says, the least first.
    bottom = "bottom";
    /// Mean of the last `n` that are not NULL: `Derived::window_avg("Document.values", 30)`.
    window_avg = "window_avg";
    /// Sum of the last `n`.
    window_sum = "window_sum";
    /// Least of the last `n`.
    window_min = "window_min";
    /// Greatest of the last `n`.
    window_max = "window_max";
    /// How many of the last `n` there are.
    window_count = "window_count";
}

/// A constructor of an aggregate of pairs.
macro_rules! paired {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl Derived {
            $($(#[$doc])* pub fn $name(p: &str, q: &str) -> Derived {
                Derived::formula(&format!("{}({p}, {q})", stringify!($name)))
            })*
        }
    };
}

paired! {
    /// Correlation of two values of each row; NULL where one does not vary.
    corr;
    /// Covariance of a sample.
    covar;
    /// Covariance of all there is.
    covar_pop;
}

impl Derived {
    /// The value at a share of the way from the least to the greatest.
    pub fn quantile(pattern: impl Into<Pattern>, share: f64) -> Derived {
        aggregate("quantile", pattern, Some(Value::double(share)))
    }

    /// Texts in one, with `separator` between them; of nothing, NULL.
    pub fn string_agg(pattern: impl Into<Pattern>, separator: &str) -> Derived {
        aggregate("string_agg", pattern, Some(Value::text(separator)))
    }
}
