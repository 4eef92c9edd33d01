//! Which source is tailed, and from where.

use std::time::Duration;

use thalweg_graph::ports::Source;
use thalweg_sources::binlog::Position;
use thalweg_sources::binlog_file::{BinlogFileConfig, BinlogFileSource};
use thalweg_sources::mysql::{CommitPlace, MysqlConfig, MysqlSource, Snapshot};

/// The source's name; nothing that is written shows it.
const NAME: &str = "tail";
/// How often a file that is followed is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// With the first transaction.
    Start,
    /// With the next transaction.
    Now,
    /// Behind this position.
    Behind(String),
}

impl Place {
    /// `start`, `now`, or a position as `run` and the server print it.
    pub(super) fn parse(text: &str) -> Result<Place, String> {
        match text {
            "start" => Ok(Place::Start),
            "now" => Ok(Place::Now),
            // Behind a position of Dolt's log may stand its commit.
            _ => match (text.parse::<CommitPlace>(), text.split(";commit=").next().unwrap_or(text).parse::<Position>()) {
                (Ok(commit), _) => Ok(Place::Behind(commit.to_string())),
                (_, Ok(_)) if text.contains(";commit=") => Ok(Place::Behind(text.to_owned())),
                (_, Ok(position)) => Ok(Place::Behind(position.to_string())),
                (_, Err(error)) => Err(format!("{error}; write `start`, `now` or a position such as 0-1-42")),
            },
        }
    }
}

/// A source, ready to run.
pub(super) struct Feed {
    pub(super) source: Box<dyn Source>,
    /// Where it starts.
    pub(super) position: Option<String>,
    /// What there is at the start is not wanted.
    pub(super) skips_to_the_end: bool,
}

impl Feed {
    /// For a url or a path. With `follows` a file is watched for more at its end.
    pub(super) fn new(subject: &str, from: Option<&Place>, tables: &[String], follows: bool) -> Feed {
        match subject.contains("://") {
            true => server(subject, from.unwrap_or(&Place::Now), tables),
            false => files(subject, from.unwrap_or(&Place::Start), tables, follows),
        }
    }
}

fn server(url: &str, from: &Place, tables: &[String]) -> Feed {
    let mut config = MysqlConfig::new(NAME, url);
    config.snapshot = Snapshot::Never;
    config.clears = true;
    config.tables = match has_database(url) {
        true => tables.to_vec(),
        false => anywhere(tables),
    };
    let position = match from {
        Place::Now => None,
        Place::Start => Some(String::new()),
        Place::Behind(position) => Some(position.clone()),
    };
    Feed { source: MysqlSource::new(config), position, skips_to_the_end: false }
}

fn files(path: &str, from: &Place, tables: &[String], follows: bool) -> Feed {
    let mut config = BinlogFileConfig::new(NAME, path);
    config.tables = anywhere(tables);
    // Whoever begins at the end of a file waits for more.
    config.follow = follows || *from == Place::Now;
    config.poll = POLL;
    let position = match from {
        Place::Behind(position) => Some(position.clone()),
        Place::Start | Place::Now => None,
    };
    Feed { source: BinlogFileSource::new(config), position, skips_to_the_end: *from == Place::Now }
}

/// Whether a url names a database: `mysql://host/database?options`.
fn has_database(url: &str) -> bool {
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    path.is_some_and(|(_, database)| !database.is_empty() && !database.starts_with('?'))
}

/// Tables without a database are in any; no tables are all of them.
fn anywhere(tables: &[String]) -> Vec<String> {
    let with_database = |table: &String| if table.contains('.') { table.clone() } else { format!("*.{table}") };
    match tables.is_empty() {
        true => vec!["*.*".to_owned()],
        false => tables.iter().map(with_database).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_database_or_not() {
        for (url, want) in [
            ("mysql://root@localhost/shop", true),
            ("mysql://root@localhost/shop?require_ssl=true", true),
            ("mysql://root@localhost/", false),
            ("mysql://root@localhost", false),
            ("mysql://root@localhost/?require_ssl=true", false),
        ] {
            assert_eq!(has_database(url), want, "{url}");
        }
    }

    #[test]
    fn tables_without_a_database_are_in_any() {
        let of = |tables: &[&str]| anywhere(&tables.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()).join(" ");
        assert_eq!(of(&[]), "*.*");
        assert_eq!(of(&["shop.order*", "item?"]), "shop.order* *.item?");
    }

    #[test]
    fn places_are_words_or_positions() {
        assert_eq!(Place::parse("start"), Ok(Place::Start));
        assert_eq!(Place::parse("now"), Ok(Place::Now));
        assert_eq!(Place::parse("0-1-42,1-1-7"), Ok(Place::Behind("0-1-42,1-1-7".to_owned())));
        let hash = "qi331vjgoavqpi5am334cji1gmhlkdv5";
        assert_eq!(Place::parse(hash), Ok(Place::Behind(format!("commit:{hash}"))));
        let place = format!("commit:{hash}@dev");
        assert_eq!(Place::parse(&place), Ok(Place::Behind(place)));
        let uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5";
        assert_eq!(Place::parse(uuid), Ok(Place::Behind(uuid.to_owned())));
        let why = Place::parse("yesterday").unwrap_err();
        assert!(why.ends_with("; write `start`, `now` or a position such as 0-1-42"), "{why}");
    }
}
