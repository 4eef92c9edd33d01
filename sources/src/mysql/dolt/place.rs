//! Where a reader of commits stands: a commit, and the branch on which it was handed over.

use std::fmt;
use std::str::FromStr;

/// What a position of commits begins with; no position of a log does.
const PREFIX: &str = "commit:";
/// Characters of a hash.
const HASH_LEN: usize = 32;

/// The hash of a Dolt commit: 32 characters of `0-9a-v`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commit(String);

impl Commit {
    /// As text, which needs no quoting in SQL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Commit {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let is_hash = text.len() == HASH_LEN && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'v'));
        if is_hash { Ok(Commit(text.to_owned())) } else { Err(PlaceError { text: text.to_owned() }) }
    }
}

/// A position of a source that polls commits: `commit:qi331vjgoavqpi5am334cji1gmhlkdv5@dev`. The branch may be left out, and a hash alone
/// is read as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPlace {
    /// The last commit that was handed over.
    pub commit: Commit,
    /// The branch that it was found on; `None`: any.
    pub branch: Option<String>,
}

impl CommitPlace {
    /// Whether a position is meant to be one of commits.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(PREFIX)
    }
}

impl fmt::Display for CommitPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.commit)?;
        self.branch.as_ref().map_or(Ok(()), |branch| write!(f, "@{branch}"))
    }
}

impl FromStr for CommitPlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let wrong = || PlaceError { text: text.to_owned() };
        let place = text.strip_prefix(PREFIX).unwrap_or(text);
        let (hash, branch) = place.split_once('@').map_or((place, None), |(hash, branch)| (hash, Some(branch)));
        if branch == Some("") {
            return Err(wrong());
        }
        Ok(CommitPlace { commit: hash.parse().map_err(|_| wrong())?, branch: branch.map(String::from) })
    }
}

/// What is no position of commits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a commit such as commit:qi331vjgoavqpi5am334cji1gmhlkdv5@main")]
pub struct PlaceError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::Position;

    #[test]
    fn places_print_as_they_parse_and_are_no_positions_of_a_log() {
        let hash = "qi331vjgoavqpi5am334cji1gmhlkdv5";
        for text in [format!("commit:{hash}@main"), format!("commit:{hash}@team/dev@2"), format!("commit:{hash}")] {
            assert_eq!(text.parse::<CommitPlace>().unwrap().to_string(), text);
            assert!(text.parse::<Position>().is_err());
        }
        assert_eq!(hash.parse::<CommitPlace>().unwrap().to_string(), format!("commit:{hash}"));
        for text in ["", "commit:", "commit:abc@main", "0-1-42", &format!("commit:{hash}@"), &hash.to_uppercase()] {
            let error = text.parse::<CommitPlace>().unwrap_err().to_string();
            assert_eq!(error, format!("\"{text}\" is not a commit such as commit:qi331vjgoavqpi5am334cji1gmhlkdv5@main"));
        }
    }
}
