//! The checked plan: always right, ready to run. [`crate::spec::GraphSpec`] becomes it or is refused.
//!
//! The plan cuts every document type into **regions** and joins them by **edges**:
//!
//! - A [`Region`] holds rows of one table at one level: slots (columns, values carried from a lower region of the same table,
//!   looked-up values, aggregates, cells) and the cells' expressions in topological order. Everything in it depends on its own row only.
//! - A [`Group`] edge takes one contribution per child row to its parent's accumulator.
//! - A [`Lookup`] edge takes fields of a document to every row that refers to it.
//! - A [`Membership`] edge tells a derived table which of its documents a row is in; they live as long as a row is in them.
//! - A [`Nearest`] edge tells a row the key of the newest row of another table at its time; a lookup follows.
//! - A [`Join`] edge tells a derived table of pairs which rows of two regions meet.
//!
//! Every edge goes from a lower level to a higher one, so the regions, level by level, are a topological order (asserted: INV-PLAN-LEVELS).
//! Hidden fields do the rest: the body of an aggregate is a cell of the child's region, `customer.region.name` is a hidden field of `Customer`.

use std::sync::Arc;

use thalweg_formulas::{Agg, Expr, Type, Value};
use thalweg_training::{Bounds, Optimizer};

use crate::spec::ActionSpec;

/// A checked graph. Ids are positions in these vectors.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Document types; a global field lives on the table named `""`, whose one document has the empty key.
    pub tables: Vec<Table>,
    /// Derived fields that a user sees, in definition order.
    pub fields: Vec<Field>,
    /// Effects.
    pub effects: Vec<Effect>,
    /// Reactions, one per (rule, table, trigger).
    pub reactions: Vec<Reaction>,
    /// What cancels the timers of reactions, one per (rule, table, trigger).
    pub cancels: Vec<Cancel>,
    /// Events that come by the calendar.
    pub schedules: Vec<Schedule>,
    /// Regions, ordered by level.
    pub regions: Vec<Region>,
    /// Child-to-parent aggregate edges.
    pub groups: Vec<Group>,
    /// Lookup edges.
    pub lookups: Vec<Lookup>,
    /// Edges that keep the documents of derived tables.
    pub memberships: Vec<Membership>,
    /// Edges that tell rows which session they are in.
    pub sessions: Vec<Session>,
    /// Edges that keep the documents of derived tables of pairs.
    pub joins: Vec<Join>,
    /// The times that windows end by.
    pub watermarks: Vec<Watermark>,
    /// Edges that find the newest row at a time.
    pub nearest: Vec<Nearest>,
    /// What fields are moved towards; goals that share their fields are one.
    pub goals: Vec<Goal>,
    /// Fields that the clock publishes.
    pub clocked: Vec<Clocked>,
}

/// Position of a table in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u32);

/// Position of a field in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u32);

/// Position of a region in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionId(pub u32);

/// Position of a group edge in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// Position of a lookup edge in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(pub u32);

/// Position of a membership edge in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MembershipId(pub u32);

/// Position of a session edge in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

/// Position of a join edge in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JoinId(pub u32);

/// Position of an as-of edge in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NearestId(pub u32);

/// Position of a slot in its region's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u32);

/// Position of a column in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnId(pub u32);

/// A document type.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name in formulas, field names and output.
    pub name: Arc<str>,
    /// The source table behind it, `db.table`; else equal to `name`.
    pub from: Arc<str>,
    /// The key: `None` = not known from the definition; the first schema seen for the table tells (empty there = a multiset).
    pub key: Option<Vec<ColumnId>>,
    /// The columns that the definition knows: declared ones, and those that anything reads.
    pub columns: Vec<Column>,
    /// The region that takes its row changes; `None` if nothing needs them.
    pub home: Option<RegionId>,
    /// Whether reactions need whole rows, undeclared columns included.
    pub whole_rows: bool,
    /// The edge that keeps its documents; `None`: a source tells its rows. All columns of a derived table are key columns, in order.
    pub kept_by: Option<MembershipId>,
    /// The same for a derived table of pairs; its key is the left row's and then the right row's.
    pub paired_by: Option<JoinId>,
}

impl Table {
    /// Whether its documents are kept by an edge: no source tells its rows.
    pub fn is_derived(&self) -> bool {
        self.kept_by.is_some() || self.paired_by.is_some()
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: Arc<str>,
    /// Its type; row values are coerced to it on the way in.
    pub ty: Type,
}

/// A derived field.
#[derive(Clone, Debug)]
pub struct Field {
    /// `Order.total`, or a bare name for a global field.
    pub name: Arc<str>,
    /// Its document type.
    pub table: TableId,
    /// What was written.
    pub formula: Arc<str>,
    /// What it gives.
    pub ty: Type,
    /// Where it lives.
    pub region: RegionId,
    /// Its slot there.
    pub slot: SlotId,
    /// The fields and columns its formula reads, as a user names them.
    pub reads: Vec<Arc<str>>,
    /// Whether a change costs only what it touches.
    pub maintenance: Maintenance,
    /// When its value is published; `None`: at once.
    pub published: Option<Published>,
    /// It is declared lazy.
    pub lazy: Option<Laziness>,
}

/// What becomes of a field that is declared lazy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Laziness {
    /// It is computed when somebody asks: its cell waits ([`Cell::waits`]).
    Waits,
    /// It is kept as any other field, since something that is kept reads it.
    Kept(Arc<str>),
}

/// How a field that is not published at once is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// When, in words: `while open`, `in batches of 1000`.
    pub when: Arc<str>,
    /// The slot of its region that has the computed value. What is published is stale where the two differ.
    pub computed: SlotId,
}

/// How a node is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Maintenance {
    /// A change costs what it touches; the text says how.
    Incremental(String),
    /// The node is computed again from all of its input; the text says why.
    Recomputed(String),
}

impl Maintenance {
    /// Of what is computed when somebody asks.
    pub(crate) fn when_asked(self) -> Maintenance {
        let (Maintenance::Incremental(how) | Maintenance::Recomputed(how)) = self;
        Maintenance::Recomputed(format!("when somebody asks, if what it reads has changed since; {how}"))
    }

    /// The same, and something besides.
    pub(crate) fn and(self, more: &str) -> Maintenance {
        match self {
            Maintenance::Incremental(how) => Maintenance::Incremental(format!("{how}; {more}")),
            Maintenance::Recomputed(why) => Maintenance::Recomputed(format!("{why}; {more}")),
        }
    }
}

/// What fields are moved towards. The loss, which each step makes smaller, is the sum of its objectives' losses.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// Its name.
    pub name: Arc<str>,
    /// What counts: its own objective first, then those of the goals that are pursued with it.
    pub objectives: Vec<Objective>,
    /// The fields that it moves, by name.
    pub variables: Vec<Variable>,
    /// How a step moves them.
    pub optimizer: Optimizer,
    /// At most so many steps after each change of data; `None`: it steps when somebody asks only.
    pub online: Option<u64>,
    /// It stops where no part of the gradient that can be followed is greater.
    pub tolerance: f64,
}

/// A part of a goal.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// The name of its goal.
    pub name: Arc<str>,
    /// The global field that has its value.
    pub field: Arc<str>,
    /// Where it is to go.
    pub direction: Direction,
    /// How much it counts.
    pub weight: f64,
}

/// Where an objective is to go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Direction {
    /// As high as can be.
    Maximize,
    /// As low as can be.
    Minimize,
    /// To a value.
    Target {
        /// The value.
        value: f64,
        /// The unit of the distance to it, within which it is reached.
        tolerance: f64,
    },
}

impl Objective {
    /// What a value of the objective adds to the loss.
    pub fn loss(&self, value: f64) -> f64 {
        match self.direction {
            Direction::Maximize => -self.weight * value,
            Direction::Minimize => self.weight * value,
            Direction::Target { value: wanted, tolerance } => self.weight * ((value - wanted) / tolerance).powi(2),
        }
    }

    /// Whether a value is as good as wanted; only a target can say so.
    pub fn is_reached(&self, value: f64) -> bool {
        matches!(self.direction, Direction::Target { value: wanted, tolerance } if (value - wanted).abs() <= tolerance)
    }
}

/// A field that a goal moves. Its values are rows of a table of its own, which steps write and no source knows: so they are logged, kept and
/// brought back like any row.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// The field: `Product.price`.
    pub field: Arc<str>,
    /// Its document type; `""`: one value.
    pub table: Arc<str>,
    /// The table of its values: the key of the document, then `value` and `state`, what the optimiser keeps of it. The key of the one value
    /// of a global field is its name.
    pub values: Arc<str>,
    /// The key columns of that table.
    pub key: Vec<Arc<str>>,
    /// The field that has the slope of the loss by it; `None`: it is frozen.
    pub gradient: Option<Arc<str>>,
    /// Where it may be.
    pub bounds: Bounds,
    /// Its value before the first step.
    pub init: f64,
}

/// The table in which steps write how goals stand. Its key is the goal's `name`.
pub const GOALS: &str = "@goals";

/// Its columns behind the name: the steps taken, the epoch of the last of them, how many may still follow, whether it is paused, the loss
/// before the last step and what the optimiser keeps of all fields together.
pub const GOAL_COLUMNS: [(&str, &str); 6] =
    [("steps", "int"), ("epoch", "int"), ("left", "int"), ("paused", "bool"), ("loss", "double"), ("state", "list(double)")];

/// An effect on a state condition.
#[derive(Clone, Debug)]
pub struct Effect {
    /// Its name.
    pub name: Arc<str>,
    /// Its document type.
    pub table: TableId,
    /// Where its condition lives.
    pub region: RegionId,
    /// The slot of the condition, a cell of that region.
    pub when: SlotId,
    /// What was written.
    pub condition: Arc<str>,
    /// What is sent: names and slots of that region.
    pub payload: Vec<(Arc<str>, SlotId)>,
    /// When it may fire again.
    pub rearm: Rearm,
    /// What it is for a document.
    pub kind: EffectKind,
    /// When a trigger is over.
    pub mode: EffectMode,
    /// What to do.
    pub actions: Vec<ActionSpec>,
}

/// What an effect is for a document: a fold over its triggers that are not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EffectKind {
    /// All of them, one after another.
    #[default]
    Queue,
    /// Whether there is one; a further one meanwhile is coalesced into it.
    Boolean,
    /// How many there are.
    Counter,
}

/// When a trigger is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EffectMode {
    /// When it is delivered.
    #[default]
    Fire,
    /// When it is acknowledged; the next of its document waits for that.
    Ack(AckWait),
    /// When it is acknowledged; the others of its document do not wait.
    Count(AckWait),
}

/// How long an acknowledgement is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckWait {
    /// How long after each delivery, in microseconds; `None`: for ever.
    pub timeout_us: Option<i64>,
    /// Deliveries after the first.
    pub retries: u32,
}

/// When an effect may fire again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rearm {
    /// After its condition has fallen.
    Edge,
    /// Never for the same document.
    Once,
    /// After its condition has fallen, and while it holds so many microseconds after each firing.
    Level(i64),
}

impl Effect {
    /// The event of the timer that brings the effect up again while its condition holds (`rearm = "level"`), which is also the name of
    /// the rule that the timer is of. A reaction's event of this name would bring it up as well.
    pub fn reminder(&self) -> Option<Arc<str>> {
        matches!(self.rearm, Rearm::Level(_)).then(|| format!("{REMINDER}{}", self.name).into())
    }
}

/// What the names of effects' timers begin with.
pub const REMINDER: &str = "effect ";

/// A reaction to one kind of change of one table, or to a timer's event.
#[derive(Clone, Debug)]
pub struct Reaction {
    /// Its name.
    pub name: Arc<str>,
    /// The place of its rule in [`crate::spec::GraphSpec::reactions`]; one rule may be several reactions.
    pub rule: u32,
    /// The event.
    pub event: Arc<str>,
    /// The table whose rows it judges.
    pub table: TableId,
    /// What triggers it.
    pub trigger: Trigger,
    /// What was written.
    pub condition_text: Option<Arc<str>>,
    /// The condition over `inputs`; `Expr` inputs are positions there.
    pub condition: Option<Expr>,
    /// What the condition reads.
    pub inputs: Vec<ReactionInput>,
    /// A delayed event to arm.
    pub timer: Option<TimerRule>,
    /// What to do.
    pub actions: Vec<ActionSpec>,
}

/// A delayed event that a reaction arms for its row.
#[derive(Clone, Debug)]
pub struct TimerRule {
    /// When it comes due.
    pub due: Due,
    /// The event that it raises.
    pub event: Arc<str>,
    /// Whether the rule has one timer for each row: arming it again takes back the one before.
    pub reset: bool,
}

/// A timer that comes `at` a time comes no sooner than this after the transaction that arms it, in microseconds: so transactions of one
/// such span can be taken together, whatever they arm.
pub const SOONEST: i64 = 100_000;

/// When a timer comes due.
#[derive(Clone, Debug)]
pub enum Due {
    /// So many microseconds after the transaction that arms it.
    After(i64),
    /// At the time that a formula gives; NULL arms nothing.
    At {
        /// The formula, over [`Reaction::inputs`].
        expr: Expr,
        /// What was written.
        text: Arc<str>,
    },
}

/// What takes back the timers that a rule has armed for a row.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// The rule's name.
    pub name: Arc<str>,
    /// The place of the rule in [`crate::spec::GraphSpec::reactions`].
    pub rule: u32,
    /// The table whose rows it judges.
    pub table: TableId,
    /// What triggers it.
    pub trigger: Trigger,
    /// The event of a timer that triggers it; any where the trigger is a change.
    pub event: Option<Arc<str>>,
    /// The condition over `inputs`; without, every such change cancels.
    pub condition: Option<Expr>,
    /// What the condition reads.
    pub inputs: Vec<ReactionInput>,
}

/// What comes by the calendar: an event, or a moment at which fields are published.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Its name; of one that publishes fields, what its moments' timers have in their key.
    pub name: Arc<str>,
    /// When.
    pub times: crate::schedule::Times,
    /// The event that it raises; [`PUBLISH`] where fields are published.
    pub event: Arc<str>,
    /// The table for whose rows it is raised: the schedule's own, which has none, or the one it is `on`. Of no meaning where fields are
    /// published.
    pub table: TableId,
    /// Whether it is raised for each row of the table.
    pub each_row: bool,
    /// What becomes of times that passed while nothing ran.
    pub misfire: crate::schedule::Misfire,
    /// It publishes fields ([`Plan::clocked`]).
    pub publishes: bool,
}

/// The event of timers that publish fields. They are of the table `""`; their key holds the names of the schedules whose moment it is, and the time
/// up to which documents that wait for a time of their own are published.
pub const PUBLISH: &str = "publish fields";

/// What a moment writes to [`Clocked::waits`] before the cell runs.
pub const OPENED: i64 = -1;

/// A field that the clock publishes.
#[derive(Clone, Debug, PartialEq)]
pub struct Clocked {
    /// Its region.
    pub region: RegionId,
    /// A self-reference there of type int: above 0 where the value that is computed waits to be published. Where it finds [`OPENED`] as its own value it is 0.
    pub waits: SlotId,
    /// What makes the moment.
    pub by: Opens,
    /// The name under which a document's own moment is known over a restart.
    pub due_name: Arc<str>,
}

/// What makes the moment at which the clock publishes a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// A schedule (its place in [`Plan::schedules`]): all documents that wait, at once.
    Schedule(u32),
    /// So many microseconds after the document has begun to wait.
    After(i64),
    /// The time in a slot of the same region, or [`SOONEST`] from now where that has passed.
    At(SlotId),
}

impl Opens {
    /// Whether each document has a moment of its own.
    pub fn is_of_document(self) -> bool {
        !matches!(self, Opens::Schedule(_))
    }
}

/// What triggers a reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// A net insert.
    Insert,
    /// A net update.
    Update,
    /// A net delete.
    Delete,
    /// A timer that raised the reaction's event.
    Timer,
}

/// What a reaction's condition reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReactionInput {
    /// A column of the row before.
    Old(ColumnId),
    /// A column of the row after.
    New(ColumnId),
    /// A column of the row after, or of the row before for a delete: a bare name.
    Bare(ColumnId),
    /// The row before, as a map.
    OldRow,
    /// The row after, as a map.
    NewRow,
    /// The bare row, as a map.
    BareRow,
    /// The event's name.
    EventName,
    /// The origin of the transaction.
    TxOrigin,
    /// The commit time of the transaction: `now` and `tx.at`.
    Now,
}

/// Rows of one table at one level. A row exists in every region of its table, also where nothing is carried to it: births and
/// deaths come from the home region, the table's lowest.
#[derive(Clone, Debug)]
pub struct Region {
    /// Which table.
    pub table: TableId,
    /// Its level; edges go up.
    pub level: u32,
    /// What each slot of a row is, in slot order.
    pub slots: Vec<Slot>,
    /// The cells, in topological order.
    pub cells: Vec<Cell>,
}

/// One slot.
#[derive(Clone, Debug)]
pub struct Slot {
    /// A name for `graph` and `explain`: `price`, `Order.total`, `sum(items[*].price)`.
    pub name: Arc<str>,
    /// Its type.
    pub ty: Type,
    /// Where its value comes from.
    pub source: SlotSource,
}

/// Where a slot's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotSource {
    /// A column; only in the table's home region.
    Column(ColumnId),
    /// A slot of a lower region of the same table.
    Carried(RegionId, SlotId),
    /// The accumulator of a group edge that ends here.
    Aggregate(GroupId),
    /// A key column of the row that an as-of edge finds (its position in `Nearest::slots`).
    Nearest(NearestId, u32),
    /// A value of a lookup edge that ends here (its position in `Lookup::values`).
    Looked(LookupId, u32),
    /// When the row's session starts, of a session edge that ends here.
    Session(SessionId),
    /// A cell of this region (its position in `cells`).
    Cell(u32),
}

/// One computed slot.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The slot it writes.
    pub slot: SlotId,
    /// What it computes; inputs are slot positions in the same row.
    pub expr: Expr,
    /// What it is.
    pub kind: CellKind,
    /// It is computed when somebody asks. Nothing reads it but cells of its region that wait as well, and effects there that send it.
    pub waits: bool,
    /// The user's field that it is, if it is one.
    pub field: Option<FieldId>,
}

/// What a cell is.
#[derive(Clone, Debug, PartialEq)]
pub enum CellKind {
    /// A function of the row.
    Formula,
    /// A self-reference: reads its own slot, steps once per epoch in which one of its other inputs changed value;
    /// `init` is `self` before the first step. The document's birth is a step.
    SelfReference {
        /// The value before the first step.
        init: Value,
    },
}

/// An aggregate edge: one contribution per child row.
#[derive(Clone, Debug)]
pub struct Group {
    /// Which aggregate.
    pub agg: Agg,
    /// The child's region.
    pub from: RegionId,
    /// The slot there that holds what is aggregated.
    pub contribution: SlotId,
    /// The slot there with the second value of each row, where the aggregate takes one: the other of a pair, or what rows are ordered by.
    pub second: Option<SlotId>,
    /// The slots there that hold the parent's key; empty for the global document.
    pub parent_key: Vec<SlotId>,
    /// How each of them gives its column; empty where each holds it as it is. Else the row is in any number of parents.
    pub parts: Vec<Part>,
    /// The types of the parent's key columns: a contribution's key is coerced to them, and belongs to no parent where that fails or is NULL.
    pub key_types: Vec<Type>,
    /// The parent's region.
    pub to: RegionId,
    /// The slot there that shows the accumulator.
    pub slot: SlotId,
}

/// How a slot gives a column of the keys of those documents that a row is in. Distinct keys count once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Its value.
    One,
    /// Each element of its list; none of anything else.
    Each,
    /// The timestamp in the column before, so many microseconds later.
    Later(i64),
}

/// A lookup edge: fields of a document at every row that refers to it.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The region that holds the reference.
    pub from: RegionId,
    /// The slots there that hold the other document's key; empty for the global document.
    pub via: Vec<SlotId>,
    /// The types of the other table's key columns, as in [`Group::key_types`].
    pub key_types: Vec<Type>,
    /// The other document's region.
    pub to: RegionId,
    /// The slots there that are looked up.
    pub values: Vec<SlotId>,
    /// The level at which the index of references lives; above `from` and `to`, below `into`.
    pub level: u32,
    /// The region, of `from`'s table, that receives the values.
    pub into: RegionId,
    /// The slots there, in the order of `values`.
    pub slots: Vec<SlotId>,
}

/// A session edge: rows of one key that follow each other within a gap are in one session, and each is told when its session starts: the time of
/// the session's first row.
#[derive(Clone, Debug)]
pub struct Session {
    /// The region of the rows.
    pub from: RegionId,
    /// The slots there that hold the key; a row is in no session where one is NULL or in error.
    pub key: Vec<SlotId>,
    /// The types of the key, as in [`Group::key_types`].
    pub key_types: Vec<Type>,
    /// The slot there that holds the row's time; without one it is in no session.
    pub on: SlotId,
    /// How far apart rows of a session may be, in microseconds.
    pub gap: i64,
    /// The level at which the rows stand in the order of their times; above `from`, below `into`.
    pub level: u32,
    /// The region, of `from`'s table, that is told.
    pub into: RegionId,
    /// The slot there.
    pub slot: SlotId,
    /// The sessions end for good.
    pub ending: Option<SessionEnding>,
}

/// How sessions end for good: a session is final once the watermark has passed the time of its last row by more than the gap. From then on it neither grows,
/// merges nor splits. A row that comes within the gap of it is late, and so is one that would be in a session that was over before its epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEnding {
    /// Position in [`Plan::watermarks`].
    pub watermark: u32,
    /// Rows are told their session from the first on; else once it is over.
    pub early: bool,
    /// The slot of `into` that tells late rows when the session starts for which they came too late.
    pub late: SlotId,
    /// The edges of the derived tables whose documents are the sessions.
    pub closes: Vec<MembershipId>,
}

/// A watermark: the greatest time that the rows of a table have had at the end of an epoch, less a lateness. It never goes back.
#[derive(Clone, Debug)]
pub struct Watermark {
    /// The region of the rows.
    pub from: RegionId,
    /// The slot there that holds their time.
    pub on: SlotId,
    /// How far the watermark is behind, in microseconds.
    pub lateness: i64,
}

/// How the documents of a derived table end by a watermark: a window is over once the watermark has reached its end. What an epoch brings is judged
/// by the watermark as it stood before the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Position in [`Plan::watermarks`].
    pub watermark: u32,
    /// Position in the key of the window's end; `None`: they are sessions, whose end the session edge tells.
    pub end: Option<u32>,
    /// What the documents are.
    pub kind: ClosingKind,
}

/// What the documents of a table with a watermark are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosingKind {
    /// Windows that are over; they do not change.
    Final,
    /// Windows from their first row on; once they are over they do not change.
    EarlyAndFinal,
    /// Rows that came when their window was over.
    Late,
}

/// A membership edge: which document of a derived table a row is in. A document lives as long as a row is in it.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The region of the rows.
    pub from: RegionId,
    /// The slots there that hold the document's key; a row is in no document where one is NULL or in error.
    pub key: Vec<SlotId>,
    /// As in [`Group::parts`]: a row may be in any number of documents.
    pub parts: Vec<Part>,
    /// The types of the key columns, as in [`Group::key_types`].
    pub key_types: Vec<Type>,
    /// Its documents are windows that end for good, or rows that came too late for one.
    pub closing: Option<Closing>,
    /// What its rows name is no document but a link, and a document lives as long as a path over links leads from the first of its key columns to the
    /// second: the level at which paths are kept, above `from`, below `to`.
    pub closure: Option<u32>,
    /// The derived table's home region.
    pub to: RegionId,
}

/// A join edge: which rows of two regions meet. A pair is a document as long as both rows are there, all of their `on` is equal and the
/// condition is true.
#[derive(Clone, Debug)]
pub struct Join {
    /// The rows of each side, the left one first; both may be of one table.
    pub sides: [JoinSide; 2],
    /// The types of what must be equal, as in [`Group::key_types`].
    pub on_types: Vec<Type>,
    /// The condition on a pair: its inputs are the left row's `given`, then the right row's.
    pub condition: Option<Expr>,
    /// The level at which the rows by what must be equal live; above both sides, below `to`.
    pub level: u32,
    /// The derived table's home region.
    pub to: RegionId,
}

/// One side of a join edge.
#[derive(Clone, Debug)]
pub struct JoinSide {
    /// What a row of this side is called in its pair.
    pub name: Arc<str>,
    /// The region of the rows.
    pub from: RegionId,
    /// The slots there that must be equal to the other side's; a row is in no pair where one is NULL or in error.
    pub on: Vec<SlotId>,
    /// The slots there that the condition reads.
    pub given: Vec<SlotId>,
}

impl Join {
    /// What the condition reads, in the order of its inputs.
    pub fn given(&self) -> Vec<(RegionId, SlotId)> {
        self.sides.iter().flat_map(|side| side.given.iter().map(|slot| (side.from, *slot))).collect()
    }

    /// Everything that it reads: what must be equal, then what the condition reads.
    pub fn reads(&self) -> Vec<(RegionId, SlotId)> {
        let on = self.sides.iter().flat_map(|side| side.on.iter().map(|slot| (side.from, *slot)));
        on.chain(self.given()).collect()
    }
}

/// An as-of edge: the key of the newest row of another table that is no later than this one, among those with equal `by`. Of rows of one
/// time the one with the greatest key is the newest. A row sees NULL where there is none, and where its time or a part of `by` is NULL.
#[derive(Clone, Debug)]
pub struct Nearest {
    /// The region of the rows that look.
    pub from: RegionId,
    /// The slots there that must be equal, then the time.
    pub near: Vec<SlotId>,
    /// The region of the rows that are found.
    pub of: RegionId,
    /// The slots there that must be equal, then the time.
    pub line: Vec<SlotId>,
    /// The types as which both are compared.
    pub types: Vec<Type>,
    /// The level at which the rows stand in the order of time; above `from` and `of`, below `into`.
    pub level: u32,
    /// The region, of `from`'s table, that receives the key.
    pub into: RegionId,
    /// Positions in the key, and the slots that show them.
    pub slots: Vec<(u32, SlotId)>,
}
