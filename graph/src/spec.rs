//! The definition as it was written: loose, serialisable, perhaps wrong. [`crate::plan`] checks it.
//!
//! TOML, the Rust DSL and later HTTP all produce this; formulas are kept as text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A whole graph.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GraphSpec {
    /// Declared tables; a source's discovered schema adds to them.
    pub tables: Vec<TableSpec>,
    /// Derived fields, in the order written.
    pub fields: Vec<FieldSpec>,
    /// Effects on state conditions.
    pub effects: Vec<EffectSpec>,
    /// Names for table changes.
    pub classify: Vec<ClassifySpec>,
    /// Reactions to named changes.
    pub reactions: Vec<ReactionSpec>,
    /// Events that come by the calendar.
    pub schedules: Vec<ScheduleSpec>,
    /// What fields are moved towards.
    pub goals: Vec<GoalSpec>,
}

/// A table: a document type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableSpec {
    /// The document type.
    pub name: String,
    /// The table behind it, `db.table`; without, the name itself.
    pub from: Option<String>,
    /// Key columns, in order; `None` where only a source or a schema line can tell.
    pub key: Option<Vec<String>>,
    /// Column types by name, as written: `decimal(10,2)`. Columns not named are dynamic.
    pub columns: BTreeMap<String, String>,
    /// The order in which a source declared the columns, if one did.
    pub column_order: Vec<String>,
    /// Whether `columns` is all there is, so that another name is an error (a source's schema says so).
    pub closed: bool,
    /// Relations by name.
    pub relations: BTreeMap<String, RelationSpec>,
    /// Its rows are not read but kept: a document for each key that rows of another table have.
    pub group: Option<GroupSpec>,
    /// Its rows are not read but kept: a document for each pair of rows of two tables that meet.
    pub join: Option<JoinSpec>,
}

/// A derived table of pairs: its documents are the pairs of rows whose `on` is equal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JoinSpec {
    /// The document type of the first row of a pair.
    pub left: String,
    /// That of the second; it may be the same.
    pub right: String,
    /// What is equal: a name or formula of both, or `a == b`, `a` read at the left row and `b` at the right one.
    pub on: OneOrMany,
    /// A condition over both rows, which are read by their names.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// What the two rows are called; without, their types in lower case.
    #[serde(rename = "as")]
    pub names: Option<Vec<String>>,
}

impl JoinSpec {
    /// What the two rows are called.
    pub fn side_names(&self) -> Vec<String> {
        let own = |table: &String| table.rsplit('.').next().unwrap_or(table).to_lowercase();
        self.names.clone().unwrap_or_else(|| [&self.left, &self.right].map(own).to_vec())
    }
}

/// A derived table: its documents are the keys that rows of another table have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupSpec {
    /// The other document type.
    pub of: String,
    /// The key columns.
    pub by: BySpec,
    /// The condition that a row must meet; without, every row counts.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// Time windows: two more key columns, `window_start` and `window_end`.
    pub window: Option<WindowSpec>,
    /// What the relation from a document to its rows is called; without, there is none.
    pub rows: Option<String>,
    /// Its rows are links by `from` and `to`, and its documents the pairs between which a path of links leads.
    pub closure: bool,
}

/// Windows over a timestamp. Those of a `size` are half open, aligned to the epoch plus `offset`. Lengths are written like delays: `"10s"`, `"1d 2h"`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowSpec {
    /// A formula over the row that gives a timestamp.
    pub on: String,
    /// How long a window is.
    pub size: Option<String>,
    /// How far apart windows start; without, they follow each other.
    pub slide: Option<String>,
    /// How far the first start is from the epoch.
    pub offset: Option<String>,
    /// In place of `size`: how far apart rows of a session may be. A session has one key column, `window_start`, the time of its first row.
    pub gap: Option<String>,
    /// How long rows are waited for: the watermark is so far behind the greatest time that was seen. Without, not at all.
    pub lateness: Option<String>,
    /// When documents are there: `updates` (from the first row on, and they follow every change), `final` (once the watermark has reached
    /// their end, or passed a session's last row by more than the gap, and they do not change any more), `early+final` (from the first row on, until then).
    /// Without, `updates`.
    pub emit: Option<String>,
    /// The name of the derived table of rows that came too late.
    pub late: Option<String>,
}

/// The key columns of a derived table, and what they hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BySpec {
    /// A column or field of the other type, of the same name.
    One(String),
    /// Several, in this order.
    Many(Vec<String>),
    /// Formulas over the other type's row, by column name.
    Named(BTreeMap<String, String>),
}

impl Default for BySpec {
    fn default() -> BySpec {
        BySpec::Many(Vec::new())
    }
}

impl BySpec {
    /// The names of the key columns with their formulas, in the order of the key, windows apart. `tags[*]` is each element of a list.
    pub fn columns(&self) -> Vec<(&str, &str)> {
        match self {
            BySpec::One(name) => vec![(name, name)],
            BySpec::Many(names) => names.iter().map(|name| (name.as_str(), name.as_str())).collect(),
            BySpec::Named(named) => named.iter().map(|(name, formula)| (name.as_str(), formula.as_str())).collect(),
        }
    }
}

/// A relation from a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RelationSpec {
    /// Child rows: the child's `key` columns hold this table's key.
    Children {
        /// The child's document type.
        table: String,
        /// The child's columns that hold this table's key.
        key: OneOrMany,
    },
    /// Lookup: this row's `key` columns hold the other table's key.
    Lookup {
        /// The other document type.
        to: String,
        /// This table's columns that hold the other's key.
        key: OneOrMany,
    },
    /// Lookup by time: of the rows of the other table with equal `by`, the newest whose `on` is no later than this row's `asof`.
    AsOf {
        /// The other document type.
        to: String,
        /// This table's column that holds the time.
        asof: String,
        /// The other table's column that holds the time; without, it has the same name.
        #[serde(default)]
        on: Option<String>,
        /// Columns that are equal in both: a name, or `mine == theirs`; without, there is one line of rows.
        #[serde(default)]
        by: OneOrMany,
    },
    /// Elements of a JSON array column.
    Json {
        /// The column.
        json: String,
        /// The member that gives elements identity.
        key: Option<String>,
    },
}

/// `"a"` or `["a", "b"]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One name.
    One(String),
    /// Several names.
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> OneOrMany {
        OneOrMany::Many(Vec::new())
    }
}

impl OneOrMany {
    /// The names.
    pub fn names(&self) -> &[String] {
        match self {
            OneOrMany::One(name) => std::slice::from_ref(name),
            OneOrMany::Many(names) => names,
        }
    }
}

/// A derived field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FieldSpec {
    /// `Order.total`; without a dot the field is global.
    pub name: String,
    /// The formula text.
    pub formula: String,
    /// When its value is published; without, at once.
    pub timing: Option<TimingSpec>,
    /// A change smaller than this, measured from the value that was published last, is not published.
    pub epsilon: Option<f64>,
    /// The value of `self` before the first step, in JSON (`INTERFACES` §4); without, the typed zero.
    pub init: Option<serde_json::Value>,
}

impl FieldSpec {
    /// Whether it is computed when somebody asks, and not before.
    pub fn is_lazy(&self) -> bool {
        matches!(&self.timing, Some(TimingSpec::Word(word)) if word == LAZY)
    }

    /// Whether its value is kept from before, so that it depends on more than the rows as they are: a timing or an `epsilon`. A formula
    /// that reads `self` keeps its value as well.
    pub fn is_timed(&self) -> bool {
        let at_once = matches!(&self.timing, None | Some(TimingSpec::Word(_)));
        !at_once || self.epsilon.is_some()
    }
}

/// The timing of a field that is computed when somebody asks.
pub const LAZY: &str = "lazy";

/// When the value of a field is published: a word, or a policy with its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TimingSpec {
    /// `immediate`, as without; `lazy`, when somebody asks.
    Word(String),
    /// A policy.
    Policy(PolicySpec),
}

impl From<&str> for TimingSpec {
    fn from(word: &str) -> TimingSpec {
        TimingSpec::Word(word.to_owned())
    }
}

impl From<PolicySpec> for TimingSpec {
    fn from(policy: PolicySpec) -> TimingSpec {
        TimingSpec::Policy(policy)
    }
}

/// A timing policy as it was written: one of `when`, `on_completion`, `batch`, `every`, `cron` and `at`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicySpec {
    /// A condition over the document: while it does not hold, the value that was published stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// A condition over the document: when it first holds, the value is published, once and for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_completion: Option<String>,
    /// How many changes are published at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u64>,
    /// Beside `batch`: how long after the first change that waits the value is published in any case, `"5s"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub or_after: Option<String>,
    /// How far apart the moments are at which the value is published, `"5m"`; they are counted from 1970 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// The moments at which the value is published, as in [`ScheduleSpec::cron`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The zone of `cron`; without, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// A formula over the document that gives the time at which its value is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// With `every` and `cron`: what becomes of moments that passed while nothing ran, as in [`ScheduleSpec::misfire`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfire: Option<String>,
}

/// An effect: it fires when its condition rises for a document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EffectSpec {
    /// Its name; part of every effect id.
    pub name: String,
    /// The document type; inferred from an absolute path in `when` if missing.
    pub on: Option<String>,
    /// The condition.
    pub when: String,
    /// What is sent: field names of the document. Default: the key and every field that `when` reads.
    pub payload: Option<Vec<String>>,
    /// `queue` (default), `boolean`, `counter`.
    pub kind: Option<String>,
    /// `fire` (default), `ack`, `count`.
    pub mode: Option<String>,
    /// `edge` (default), `level`, `once`.
    pub rearm: Option<String>,
    /// With `rearm = "level"`: how long after a firing it fires again while the condition holds, `"24h"`.
    pub every: Option<String>,
    /// How long an acknowledgement is waited for.
    pub ack: Option<AckSpec>,
    /// What to do.
    pub actions: Vec<ActionSpec>,
}

/// How long an acknowledgement is waited for, and how often the delivery is repeated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AckSpec {
    /// `"30s"`; without, for ever.
    pub timeout: Option<String>,
    /// Deliveries after the first; without, 3.
    pub retries: Option<u32>,
}

/// Names for the changes of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassifySpec {
    /// The database; with `table`, the table behind a document type.
    pub database: Option<String>,
    /// The table or document type.
    pub table: String,
    /// The event for an insert.
    pub insert: Option<String>,
    /// The event for an update.
    pub update: Option<String>,
    /// The event for a delete.
    pub delete: Option<String>,
}

/// A reaction: a pulse on a named change, judged once per epoch and row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReactionSpec {
    /// Its name; default: the event, with `#n` from the second reaction on that event.
    pub name: Option<String>,
    /// The event it reacts to.
    pub event: String,
    /// The condition on the row; without, every such change.
    pub condition: Option<String>,
    /// A delayed event to arm.
    pub timer: Option<TimerSpec>,
    /// What to do at once.
    pub actions: Vec<ActionSpec>,
}

/// A delayed event: after `delay`, or `at` a time that the row tells; one of the two.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimerSpec {
    /// `"24h"`, `"1d 2h"`, `"PT90M"`.
    pub delay: Option<String>,
    /// A formula over the change that gives a timestamp: `due_at - duration('1h')`. NULL arms nothing.
    pub at: Option<String>,
    /// The event that is raised then.
    pub event: String,
    /// Whether the rule has one timer for each row, so that arming it again puts the time off.
    pub reset: bool,
    /// Events that cancel what the rule has armed for the same row.
    pub cancel_on: Vec<String>,
    /// A condition on a change of the row that cancels it; a deletion of the row does too.
    pub cancel_when: Option<String>,
}

/// An event that comes by the calendar.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduleSpec {
    /// Its name, which is also the table that its event's reactions name.
    pub name: String,
    /// `0 3 * * *`: five fields, or six with seconds first; `@daily`.
    pub cron: String,
    /// The zone whose clocks it follows, `Europe/Berlin`; without, UTC.
    pub zone: Option<String>,
    /// The event that is raised.
    pub event: String,
    /// A document type: the event is raised for each of its rows. Without, it is raised once.
    pub on: Option<String>,
    /// `once` (default), `all` or `skip`: what becomes of times that passed while nothing ran.
    pub misfire: Option<String>,
}

/// A goal: what is made greatest, least, or equal to a value, by moving the fields that it names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GoalSpec {
    /// Its name.
    pub name: String,
    /// A global formula that is to be as great as can be; one of three.
    pub maximize: Option<String>,
    /// A global formula that is to be as small as can be.
    pub minimize: Option<String>,
    /// A global formula that is to have a value.
    pub target: Option<TargetSpec>,
    /// How much it counts beside the goals that move the same fields; without, 1.
    pub weight: Option<f64>,
    /// Another goal, whose fields and optimiser it shares: both are pursued at once.
    pub with: Option<String>,
    /// The fields that are moved: `Product.price` is one for each row, a name without a dot is one value.
    pub variables: BTreeMap<String, VariableSpec>,
    /// The settings of the optimiser: `kind`, `lr` and those of its kind.
    pub optimizer: serde_json::Map<String, serde_json::Value>,
    /// Whether it steps when data changes.
    pub online: bool,
    /// At most so many steps after each change; without, 100.
    pub steps: Option<u64>,
    /// It stops where no part of the gradient that can be followed is greater; without, 0.000001.
    pub tolerance: Option<f64>,
}

/// A value to be reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetSpec {
    /// A global formula.
    pub of: String,
    /// The value.
    pub value: f64,
    /// Within this much of it, it is reached; it is the unit in which the distance counts. Without, 1.
    pub tolerance: Option<f64>,
}

/// A field that a goal moves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VariableSpec {
    /// Its least value.
    pub min: Option<f64>,
    /// Its greatest value.
    pub max: Option<f64>,
    /// Its value before the first step; without, the middle of its bounds, else 0 or the bound nearest to it.
    pub init: Option<f64>,
    /// It stays as it is.
    pub freeze: bool,
}

/// An action as written: its `type` and the settings of that type, read by the sink that knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActionSpec {
    /// `webhook`, `dolt-insert`, `sql-insert`, `log`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The rest.
    #[serde(flatten)]
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// Where in a definition a finding stands; the configuration reader turns it into file, line and column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Table `index`, and a key in it (`""` for the table itself): `key`, `columns.price`, `relations.items`.
    Table(usize, String),
    /// Field `index`, and its key: `name`, `formula`, `timing`, `timing.when`, …
    Field(usize, &'static str),
    /// Effect `index`, and its key: `when`, `on`, `payload`, …
    Effect(usize, &'static str),
    /// Name `1` in the payload of effect `0`.
    Payload(usize, usize),
    /// Classification `index`, and its key.
    Classify(usize, &'static str),
    /// Reaction `index`, and its key: `event`, `condition`, `timer.delay`, …
    Reaction(usize, &'static str),
    /// Name `1` in `timer.cancel_on` of reaction `0`.
    CancelOn(usize, usize),
    /// Schedule `index`, and its key: `cron`, `zone`, `event`, …
    Schedule(usize, &'static str),
    /// Goal `index`, and its key: `maximize`, `variables.Product.price.min`, …
    Goal(usize, String),
    /// Action `1` of effect (`true`) or reaction (`false`) `0`, and its key.
    Action {
        /// Of an effect, else of a reaction.
        effect: bool,
        /// Which effect or reaction.
        owner: usize,
        /// Which action.
        action: usize,
        /// The key, or `type`.
        key: String,
    },
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The definition is refused.
    Error,
    /// It runs, and something may not be meant.
    Warning,
}

/// A problem and where it stands. A span inside the problem counts from the start of the formula text at `place`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Error or warning.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What.
    pub problem: thalweg_formulas::Problem,
}
