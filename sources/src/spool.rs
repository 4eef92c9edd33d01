//! A spool: records in a file without a name, for what is larger than memory; written once, in order, then read any number of times.
//!
//! The file has no name from its beginning, so it goes with its last reader, also when the process is killed. Nothing is synced: what is
//! in it stands in the source's log too. Every record carries its length, a tag of its owner's, and a CRC32 over both, its place and its
//! bytes, so bytes that rot on the disk are found and never used.
//!
//! Bounds: [`BUFFER`] bytes for the writer and for each reader, besides the record that is being read.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Error, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that are written and read at once.
const BUFFER: usize = 128 << 10;

/// The head of a record: length, tag, checksum.
const HEAD: usize = 16;

/// A spool that is being written. After an error it is good for nothing but to be dropped.
#[derive(Debug)]
pub(crate) struct Writer {
    file: BufWriter<File>,
    /// Where the next record begins.
    end: u64,
}

impl Writer {
    /// An empty spool in `directory`, which must be there.
    pub(crate) fn create(directory: &Path) -> io::Result<Writer> {
        Ok(Writer { file: BufWriter::with_capacity(BUFFER, tempfile::tempfile_in(directory)?), end: 0 })
    }

    /// Adds a record.
    pub(crate) fn append(&mut self, tag: u64, bytes: &[u8]) -> io::Result<()> {
        let len = u32::try_from(bytes.len()).map_err(|_| Error::from(ErrorKind::FileTooLarge))?;
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&len.to_le_bytes());
        head[4..12].copy_from_slice(&tag.to_le_bytes());
        let crc = checksum(self.end, &head[..12], bytes);
        head[12..].copy_from_slice(&crc.to_le_bytes());
        self.file.write_all(&head)?;
        self.file.write_all(bytes)?;
        self.end += (HEAD + bytes.len()) as u64;
        Ok(())
    }

    /// Nothing more will come.
    pub(crate) fn seal(self) -> io::Result<Spool> {
        Ok(Spool { file: self.file.into_inner().map_err(io::IntoInnerError::into_error)?, end: self.end })
    }
}

/// A spool that is whole.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    end: u64,
}

impl Spool {
    /// Its records from the first on. Several may read at once.
    pub(crate) fn records(&self) -> Records<'_> {
        let file = BufReader::with_capacity(BUFFER, At { file: &self.file, at: 0 });
        Records { file, at: 0, end: self.end, bytes: Vec::new() }
    }

    /// Its bytes, to be damaged.
    #[cfg(test)]
    pub(crate) fn file(&self) -> (&File, u64) {
        (&self.file, self.end)
    }
}

/// The records of a spool, one after another.
pub(crate) struct Records<'a> {
    file: BufReader<At<'a>>,
    at: u64,
    end: u64,
    bytes: Vec<u8>,
}

impl Records<'_> {
    /// The next record: its tag and its bytes.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else than what was written.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        if self.at == self.end {
            return Ok(None);
        }
        let mut head = [0; HEAD];
        self.file.read_exact(&mut head)?;
        let [l0, l1, l2, l3, t0, t1, t2, t3, t4, t5, t6, t7, c0, c1, c2, c3] = head;
        let len = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
        // A length that rotted is not believed: there is no more than was written.
        if len > self.end - self.at - HEAD as u64 {
            return Err(damaged(self.at));
        }
        self.bytes.clear();
        self.file.by_ref().take(len).read_to_end(&mut self.bytes)?;
        if checksum(self.at, &head[..12], &self.bytes) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(damaged(self.at));
        }
        self.at += HEAD as u64 + len;
        Ok(Some((u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]), &self.bytes)))
    }
}

fn checksum(at: u64, head: &[u8], bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&at.to_le_bytes());
    hasher.update(head);
    hasher.update(bytes);
    hasher.finalize()
}

#[cold]
fn damaged(at: u64) -> Error {
    Error::new(ErrorKind::InvalidData, format!("the record at byte {at} is damaged"))
}

/// Reads a file from a place of its own, so that readers do not disturb each other.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(out, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS: [(u64, &[u8]); 4] = [(0, b"first"), (u64::MAX, b""), (7, &[0xab; 300]), (8, b"last")];

    fn spool() -> Spool {
        let mut writer = Writer::create(&std::env::temp_dir()).unwrap();
        RECORDS.iter().for_each(|(tag, bytes)| writer.append(*tag, bytes).unwrap());
        writer.seal().unwrap()
    }

    fn read(spool: &Spool) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let (mut records, mut all) = (spool.records(), Vec::new());
        while let Some((tag, bytes)) = records.next()? {
            all.push((tag, bytes.to_vec()));
        }
        Ok(all)
    }

    #[test]
    fn records_come_back_as_they_were_for_several_readers_at_once() {
        let spool = spool();
        let (mut one, mut other) = (spool.records(), spool.records());
        for (tag, bytes) in RECORDS {
            assert_eq!(one.next().unwrap(), Some((tag, bytes)));
            assert_eq!(other.next().unwrap(), Some((tag, bytes)));
        }
        assert_eq!((one.next().unwrap(), other.next().unwrap()), (None, None));
        let large = {
            let mut writer = Writer::create(&std::env::temp_dir()).unwrap();
            (0..500).for_each(|i| writer.append(i, &vec![i as u8; 1000 * (i as usize % 7)]).unwrap());
            writer.seal().unwrap()
        };
        assert!(
            read(&large).unwrap().iter().enumerate().all(|(i, (tag, b))| *tag == i as u64 && *b == vec![i as u8; 1000 * (i % 7)])
        );
    }

    #[test]
    fn sto_6_a_byte_that_rots_in_a_spool_is_found() {
        let spool = spool();
        let (file, end) = spool.file();
        for at in 0..end {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            for bit in 0..8 {
                file.write_all_at(&[byte[0] ^ 1 << bit], at).unwrap();
                let why = read(&spool).unwrap_err().to_string();
                assert!(why.starts_with("the record at byte ") && why.ends_with(" is damaged"), "{why}");
            }
            file.write_all_at(&byte, at).unwrap();
        }
        file.set_len(end - 1).unwrap();
        assert!(read(&spool).is_err());
    }
}
