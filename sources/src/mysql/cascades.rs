//! Foreign keys by which a server changes rows without a word in its log.
//!
//! InnoDB follows `ON DELETE` and `ON UPDATE` actions itself, below where rows are logged (MySQL's manual, "FOREIGN KEY Constraint
//! Differences"): rows of the referring table go or change unseen. From 9.6 on MySQL follows them where it logs, unless it is told not
//! to; Dolt logs what differs in the end. A trigger does the same work in sight of the log.

use std::collections::BTreeMap;

use mysql_async::Conn;

use super::connect::{Flavour, ask, ask_first, quoted};
use super::failure::Failure;
use super::finding::Finding;
use crate::binlog::Watch;

/// One foreign key with an action.
#[derive(Debug, Default)]
struct Cascade {
    child: (String, String),
    parent: (String, String),
    on_delete: String,
    on_update: String,
    /// Columns of the child, and those of the parent that they refer to.
    columns: Vec<(String, String)>,
}

/// The foreign keys of watched tables whose actions the log does not tell, each with the statements that bring them into it.
pub(crate) async fn unlogged(conn: &mut Conn, flavour: Flavour, watch: &Watch) -> Result<Vec<Finding>, Failure> {
    if flavour == Flavour::Dolt || follows_in_sight(conn).await? {
        return Ok(Vec::new());
    }
    let sql = "SELECT r.CONSTRAINT_SCHEMA, r.CONSTRAINT_NAME, r.TABLE_NAME, r.UNIQUE_CONSTRAINT_SCHEMA, r.REFERENCED_TABLE_NAME, r.DELETE_RULE,
        r.UPDATE_RULE, k.COLUMN_NAME, k.REFERENCED_COLUMN_NAME
        FROM information_schema.REFERENTIAL_CONSTRAINTS r JOIN information_schema.KEY_COLUMN_USAGE k
        ON k.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME = r.CONSTRAINT_NAME AND k.TABLE_NAME = r.TABLE_NAME
        WHERE r.DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR r.UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')
        ORDER BY r.CONSTRAINT_SCHEMA, r.TABLE_NAME, r.CONSTRAINT_NAME, k.ORDINAL_POSITION";
    type Found = (String, String, String, String, String, String, String, String, String);
    let mut found: BTreeMap<(String, String, String), Cascade> = BTreeMap::new();
    for (database, name, table, of, parent, on_delete, on_update, column, referred) in ask::<Found>(conn, sql).await? {
        if watch.matches(&database, &table) {
            let cascade = found.entry((database.clone(), table.clone(), name)).or_default();
            (cascade.child, cascade.parent) = ((database, table), (of, parent));
            (cascade.on_delete, cascade.on_update) = (on_delete, on_update);
            cascade.columns.push((column, referred));
        }
    }
    Ok(found.into_iter().map(|((_, _, name), cascade)| cascade.finding(&name)).collect())
}

/// Whether this server logs what the actions do.
async fn follows_in_sight(conn: &mut Conn) -> Result<bool, Failure> {
    let native: Option<(String, String)> = ask_first(conn, "SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'").await?;
    Ok(native.is_some_and(|(_, value)| value == "OFF"))
}

fn dotted((database, table): &(String, String)) -> String {
    format!("{database}.{table}")
}

fn sql((database, table): &(String, String)) -> String {
    format!("{}.{}", quoted(database), quoted(table))
}

impl Cascade {
    fn finding(&self, name: &str) -> Finding {
        let (child, parent) = (dotted(&self.child), dotted(&self.parent));
        let is_action = |rule: &str| !matches!(rule, "RESTRICT" | "NO ACTION");
        let actions: Vec<String> = [("ON DELETE", &self.on_delete), ("ON UPDATE", &self.on_update)]
            .into_iter()
            .filter(|(_, rule)| is_action(rule))
            .map(|(event, rule)| format!("{event} {rule}"))
            .collect();
        let found = format!("{}: what this does to rows of {child} stands in no log", actions.join(", "));
        let about = format!("foreign key {child}.{name}");
        if !is_action(&self.on_delete) {
            return Finding::warn(about, found, format!("do not change the key of a row of {parent} that others refer to"));
        }
        if self.child == self.parent {
            let cure = format!("delete the rows of {child} that refer to a row before the row itself");
            return Finding::warn(about, found, cure);
        }
        Finding::warn(about, found, "let a trigger do it").sql(self.trigger(name))
    }

    /// The action of a delete as a trigger, then the constraint without actions, so that rows are never without either. No trigger can do what ON UPDATE does: a child's new key
    /// must be there before, and its old one until then.
    fn trigger(&self, name: &str) -> [String; 2] {
        let list = |columns: Vec<&String>| columns.into_iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
        let own = list(self.columns.iter().map(|(own, _)| own).collect());
        let referred = list(self.columns.iter().map(|(_, referred)| referred).collect());
        let refers: Vec<String> =
            self.columns.iter().map(|(own, referred)| format!("{} = OLD.{}", quoted(own), quoted(referred))).collect();
        let (child, parent, refers) = (sql(&self.child), sql(&self.parent), refers.join(" AND "));
        let does = match self.on_delete.as_str() {
            "CASCADE" => format!("DELETE FROM {child} WHERE {refers}"),
            rule => {
                let value = rule.trim_start_matches("SET ");
                let given: Vec<String> = self.columns.iter().map(|(own, _)| format!("{} = {value}", quoted(own))).collect();
                format!("UPDATE {child} SET {} WHERE {refers}", given.join(", "))
            }
        };
        let trigger = quoted(&format!("{}_{name}", self.child.1));
        let (name, logged) = (quoted(name), quoted(&format!("{name}_logged")));
        [
            format!("CREATE TRIGGER {}.{trigger} BEFORE DELETE ON {parent} FOR EACH ROW {does};", quoted(&self.parent.0)),
            format!(
                "ALTER TABLE {child} ADD CONSTRAINT {logged} FOREIGN KEY ({own}) REFERENCES {parent} ({referred}), DROP FOREIGN KEY {name};"
            ),
        ]
    }
}
