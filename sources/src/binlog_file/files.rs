//! Which files a setting means, in the order in which they were written.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Ended, code};
use crate::binlog::{Place, Watch, frame};

/// One file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    /// Its name without the folder.
    pub(super) name: String,
}

/// The files that `paths` mean now, oldest first.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<LogFile>, Ended> {
    let mut found = Vec::new();
    for path in paths {
        found.extend(of_path(path)?);
    }
    let mut files: Vec<LogFile> = found.into_iter().map(LogFile::new).collect();
    files.sort_by_key(LogFile::place);
    files.dedup();
    one_log(&files)?;
    match files.is_empty() {
        true => {
            let shown: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
            Err(Ended::stopped(
                code::FILES,
                format!("no binlog file at {}", shown.join(", ")),
                "name a file, a folder, or a pattern such as /backup/binlog.*",
            ))
        }
        false => Ok(files),
    }
}

impl LogFile {
    fn new(path: PathBuf) -> LogFile {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        LogFile { path, name }
    }

    fn place(&self) -> Place {
        Place { file: self.name.clone(), offset: 0 }
    }

    fn stem(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(stem, _)| stem)
    }
}

/// Files of two logs in one folder have no order.
fn one_log(files: &[LogFile]) -> Result<(), Ended> {
    let numbered = |file: &&LogFile| file.name.rsplit_once('.').is_some_and(|(_, number)| number.parse::<u64>().is_ok());
    let mut stems: Vec<&str> = files.iter().filter(numbered).map(LogFile::stem).collect();
    stems.dedup();
    match stems[..] {
        [first, second, ..] => {
            let reason = format!("the files belong to more than one log: {first}.*, {second}.*");
            Err(Ended::stopped(code::FILES, reason, "give each log a source of its own"))
        }
        _ => Ok(()),
    }
}

fn of_path(path: &Path) -> Result<Vec<PathBuf>, Ended> {
    let failed = |error: std::io::Error| {
        Ended::stopped(code::FILES, format!("{}: {error}", path.display()), "check the path and that this user may read it")
    };
    let last = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if Watch::is_wild(&last) && !path.exists() {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut files = logs_in(folder).map_err(failed)?;
        files.retain(|file| file.file_name().is_some_and(|name| matches(&last, &name.to_string_lossy())));
        return Ok(files);
    }
    if path.is_dir() {
        return logs_in(path).map_err(failed);
    }
    if last.ends_with(".index") {
        return listed_in(path).map_err(failed);
    }
    fs::metadata(path).map_err(failed)?;
    Ok(vec![path.to_path_buf()])
}

fn matches(pattern: &str, name: &str) -> bool {
    Watch::new(&[format!("x.{pattern}")], None).is_ok_and(|watch| watch.matches("x", name))
}

/// The files of a folder that begin as binlog files do.
fn logs_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() && is_log(&path) {
            files.push(path);
        }
    }
    Ok(files)
}

fn is_log(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && (magic == frame::FILE_MAGIC || magic == frame::ENCRYPTED_MAGIC)
}

/// The files that a server's index names, one a line, relative to its folder.
fn listed_in(index: &Path) -> std::io::Result<Vec<PathBuf>> {
    let folder = index.parent().unwrap_or(Path::new(""));
    let text = fs::read_to_string(index)?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| folder.join(line)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[PathBuf]) -> Result<Vec<String>, String> {
        match find(paths) {
            Ok(files) => Ok(files.into_iter().map(|f| f.name).collect()),
            Err(Ended::Stopped(text)) => Err(text),
            Err(other) => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn files_come_in_the_order_in_which_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["log.999999", "log.1000000", "log.000002"] {
            fs::write(at(name), frame::FILE_MAGIC).unwrap();
        }
        fs::write(at("log.index"), "./log.1000000\n./log.000002\n").unwrap();
        fs::write(at("notes.txt"), "no log").unwrap();
        let all = ["log.000002", "log.999999", "log.1000000"].map(String::from).to_vec();
        assert_eq!(names(&[folder.path().to_path_buf()]), Ok(all.clone()));
        assert_eq!(names(&[at("log.*")]), Ok(all));
        assert_eq!(names(&[at("log.9?????")]), Ok(vec!["log.999999".to_string()]));
        assert_eq!(names(&[at("log.index"), at("log.000002")]), Ok(vec!["log.000002".to_string(), "log.1000000".to_string()]));
        let shown = folder.path().display();
        let cure = "name a file, a folder, or a pattern such as /backup/binlog.*";
        assert_eq!(names(&[at("other.*")]), Err(format!("E0430: no binlog file at {shown}/other.*; {cure}")));
        let cure = "check the path and that this user may read it";
        assert_eq!(names(&[at("gone")]), Err(format!("E0430: {shown}/gone: No such file or directory (os error 2); {cure}")));
        fs::write(at("relay.000001"), frame::FILE_MAGIC).unwrap();
        assert_eq!(
            names(&[folder.path().to_path_buf()]),
            Err("E0430: the files belong to more than one log: log.*, relay.*; give each log a source of its own".to_string())
        );
    }
}
