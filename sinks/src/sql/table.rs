//! The target table as the server's catalogue describes it, and the statements that are made from it.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Value as Sql};
use serde_json::{Map, Value as Json};
use thalweg_formulas::Value;
use thalweg_graph::cause;

use super::column::{Column, Kind};
use super::fault::Fault;
use super::own::ORIGIN;
use super::row::EVENT_COLUMNS;

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) database: String,
    pub(super) name: String,
    columns: Vec<Column>,
    /// The columns of each unique index, the primary key among them, in lower case.
    unique: Vec<Vec<String>>,
}

/// A statement and what is bound to its marks.
pub(super) type Statement = (String, Vec<Sql>);

impl Table {
    /// Asks the catalogue; `None`: there is no such table.
    pub(super) async fn find(conn: &mut Conn, database: &str, name: &str) -> Result<Option<Self>, Fault> {
        type Described = (String, String, String, Option<u64>, Option<u32>, Option<u64>, Option<u64>, String, String);
        let described: Vec<Described> = conn
            .exec(
                "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, DATETIME_PRECISION, NUMERIC_PRECISION, \
                 NUMERIC_SCALE, COLUMN_KEY, EXTRA FROM information_schema.COLUMNS \
                 WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION",
                (database, name),
            )
            .await
            .map_err(|why| Fault::of(&why))?;
        // The server's own spelling: where case does not matter, two rules may spell one table in two ways.
        let Some(own_name) = described.first().map(|column| column.0.clone()) else { return Ok(None) };
        let columns = described.into_iter().map(|(_, name, kind, length, decimals, digits, scale, key, extra)| Column {
            name,
            kind: Kind::of(&kind.to_ascii_lowercase(), length, decimals, (digits, scale)),
            is_primary: key == "PRI",
            is_generated: extra.to_ascii_uppercase().contains("GENERATED"),
        });
        let mut columns: Vec<Column> = columns.collect();
        let documents = json_columns(conn, database, name).await?;
        columns.iter_mut().filter(|column| documents.contains(&column.name)).for_each(|column| column.kind = Kind::Json);
        let unique = unique_indexes(conn, database, name).await?;
        Ok(Some(Self { database: database.to_owned(), name: own_name, columns, unique }))
    }

    /// Whether the table's primary key is `id` and the row carries the effect id there.
    pub(super) fn is_keyed_by_id(&self, row_has_id: bool) -> bool {
        let mut primary = self.columns.iter().filter(|column| column.is_primary);
        let only = (primary.next(), primary.next());
        row_has_id && matches!(only, (Some(column), None) if column.name.eq_ignore_ascii_case("id"))
    }

    /// Whether these columns name one row at most: all columns of some unique index are among them.
    pub(super) fn is_unique(&self, key: &[&str]) -> bool {
        let has = |column: &String| key.iter().any(|name| name.eq_ignore_ascii_case(column));
        self.unique.iter().any(|index| index.iter().all(has))
    }

    /// A column that can be written.
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The columns to write, and their values. Of the usual row those that the table has; of a custom row (`whole`) all.
    pub(super) fn assign(&self, row: &Map<String, Json>, whole: bool) -> Result<(Vec<&str>, Params), Fault> {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for (name, value) in row {
            match self.column(name).filter(|column| !column.is_generated) {
                Some(column) => {
                    names.push(column.name.as_str());
                    values.push(column.convert(value)?);
                }
                None if whole && name != ORIGIN => return Err(self.no_column(name)),
                None => {}
            }
        }
        if names.iter().all(|name| name.eq_ignore_ascii_case(ORIGIN)) {
            let usual = EVENT_COLUMNS.join(", ");
            return Err(Fault::catalogue(format!("E0521: {} has none of the columns {usual}; {}", self.shown(), self.list())));
        }
        Ok((names, Params::Positional(values)))
    }

    /// E0521: a column that the table does not have.
    pub(super) fn no_column(&self, name: &str) -> Fault {
        Fault::catalogue(format!("E0521: {} has no column `{name}`; {}", self.shown(), self.list()))
    }

    /// The insert of these columns.
    pub(super) fn insert_statement(&self, columns: &[&str]) -> String {
        let names: Vec<String> = columns.iter().map(|name| quote(name)).collect();
        let marks = vec!["?"; columns.len()].join(", ");
        format!("INSERT INTO {} ({}) VALUES ({marks})", self.shown(), names.join(", "))
    }

    /// Sets columns of the row with this key.
    pub(super) fn update(&self, set: &[(&Column, Sql)], key: &[(&Column, Sql)]) -> Statement {
        let sets: Vec<String> = set.iter().map(|(column, _)| format!("{} = ?", quote(&column.name))).collect();
        let (condition, bound) = matching(key);
        let values = set.iter().map(|(_, value)| value.clone()).chain(bound).collect();
        (format!("UPDATE {} SET {} WHERE {condition}", self.shown(), sets.join(", ")), values)
    }

    /// Deletes the row with this key.
    pub(super) fn delete(&self, key: &[(&Column, Sql)]) -> Statement {
        let (condition, bound) = matching(key);
        (format!("DELETE FROM {} WHERE {condition}", self.shown()), bound)
    }

    /// Asks whether the row with an id is there.
    pub(super) fn find_statement(&self) -> String {
        format!("SELECT 1 FROM {} WHERE `id` = ?", self.shown())
    }

    /// Makes the ledger of effect ids.
    pub(super) fn ledger_statement(&self) -> String {
        let ledger = qualified(&self.database, cause::APPLIED);
        format!(
            "CREATE TABLE IF NOT EXISTS {ledger} (id VARCHAR(26) PRIMARY KEY, depth INT NOT NULL, applied_at DATETIME(3) NOT NULL)"
        )
    }

    /// Notes an effect id and the depth of its chain.
    pub(super) fn ledger_insert_statement(&self) -> String {
        format!(
            "INSERT INTO {} (id, depth, applied_at) VALUES (?, ?, UTC_TIMESTAMP(3))",
            qualified(&self.database, cause::APPLIED)
        )
    }

    /// The table's name, quoted.
    pub(super) fn shown(&self) -> String {
        qualified(&self.database, &self.name)
    }

    fn list(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        format!("its columns: {}", names.join(", "))
    }
}

/// The JSON columns of a table of MariaDB, where they are texts with a check of the column's name.
async fn json_columns(conn: &mut Conn, database: &str, name: &str) -> Result<Vec<String>, Fault> {
    let version: Option<String> = conn.query_first("SELECT VERSION()").await.map_err(|why| Fault::of(&why))?;
    if !version.is_some_and(|version| version.contains("MariaDB")) {
        return Ok(Vec::new());
    }
    let checks = "SELECT CONSTRAINT_NAME FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ? AND TABLE_NAME = ? \
                  AND CHECK_CLAUSE = CONCAT('json_valid(`', CONSTRAINT_NAME, '`)')";
    conn.exec(checks, (database, name)).await.map_err(|why| Fault::of(&why))
}

async fn unique_indexes(conn: &mut Conn, database: &str, name: &str) -> Result<Vec<Vec<String>>, Fault> {
    type Part = (String, String, Option<u64>);
    let parts: Vec<Part> = conn
        .exec(
            "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX",
            (database, name),
        )
        .await
        .map_err(|why| Fault::of(&why))?;
    // An index over the first bytes of a column says that these are unique, which is more than is wanted.
    let whole = |index: &&[Part]| index.iter().all(|(_, _, prefix)| prefix.is_none());
    let indexes = parts.chunk_by(|(a, ..), (b, ..)| a == b).filter(whole);
    Ok(indexes.map(|index| index.iter().map(|(_, column, _)| column.to_ascii_lowercase()).collect()).collect())
}

/// The condition that finds a row by its key, NULL included. A decimal is compared as one: a text would make both sides doubles.
fn matching(key: &[(&Column, Sql)]) -> (String, Vec<Sql>) {
    let (mut terms, mut bound) = (Vec::new(), Vec::new());
    for (column, value) in key {
        let name = quote(&column.name);
        match value {
            Sql::NULL => terms.push(format!("{name} IS NULL")),
            value => {
                match column.kind {
                    Kind::Decimal(digits, scale) => terms.push(format!("{name} = CAST(? AS DECIMAL({digits},{scale}))")),
                    _ => terms.push(format!("{name} = ?")),
                }
                bound.push(value.clone());
            }
        }
    }
    (terms.join(" AND "), bound)
}

/// A value as its column takes it, beside the column.
pub(super) fn bound<'a>(column: &'a Column, value: &Value) -> Result<(&'a Column, Sql), Fault> {
    Ok((column, column.bind(value)?))
}

/// Seed R's event table under a name of one's own.
pub(super) fn create_statement(database: &str, name: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (id VARCHAR(26) PRIMARY KEY, timestamp DATETIME(3) NOT NULL, event_type VARCHAR(50) NOT NULL, \
         source_db VARCHAR(50), source_table VARCHAR(50), subject_id VARCHAR(50), actor VARCHAR(100), summary TEXT, payload JSON, \
         INDEX idx_timestamp (timestamp), INDEX idx_event_type (event_type))",
        qualified(database, name)
    )
}

/// Whether a name can be one of a table or database.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.chars().count()) && !name.contains('\0') && !name.ends_with(' ')
}

pub(super) fn qualified(database: &str, name: &str) -> String {
    format!("{}.{}", quote(database), quote(name))
}

fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: Kind) -> Column {
        Column { name: name.to_owned(), kind, is_primary: false, is_generated: false }
    }

    fn table(columns: Vec<Column>) -> Table {
        let unique = vec![vec!["a".to_owned(), "b".to_owned()]];
        Table { database: "a`b".to_owned(), name: "x; DROP TABLE y".to_owned(), columns, unique }
    }

    #[test]
    fn sec_04_names_are_quoted_whatever_they_hold() {
        let table = table(vec![column("c`", Kind::Other), column("n", Kind::Decimal(9, 2))]);
        assert_eq!(table.insert_statement(&["c`", "d"]), "INSERT INTO `a``b`.`x; DROP TABLE y` (`c```, `d`) VALUES (?, ?)");
        let [c, n] = [&table.columns[0], &table.columns[1]];
        let one = |column| vec![(column, Sql::Int(1))];
        assert_eq!(
            table.update(&one(c), &[(c, Sql::NULL), (n, Sql::Int(2))]),
            (
                "UPDATE `a``b`.`x; DROP TABLE y` SET `c``` = ? WHERE `c``` IS NULL AND `n` = CAST(? AS DECIMAL(9,2))".to_owned(),
                vec![Sql::Int(1), Sql::Int(2)]
            )
        );
        assert_eq!(table.delete(&one(c)), ("DELETE FROM `a``b`.`x; DROP TABLE y` WHERE `c``` = ?".to_owned(), vec![Sql::Int(1)]));
    }

    #[test]
    fn a_key_names_one_row_if_a_unique_index_lies_in_it() {
        let table = table(Vec::new());
        for (key, unique) in [(vec!["a"], false), (vec!["B", "A"], true), (vec!["c", "b", "a"], true), (vec![], false)] {
            assert_eq!(table.is_unique(&key), unique, "{key:?}");
        }
    }
}
