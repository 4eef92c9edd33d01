//! MySQL's client protocol, as much as a server needs to answer a reader: packets, results as text and in binary.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::table::{Cell, Column};

/// PROTOCOL_41, CONNECT_WITH_DB, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH, DEPRECATE_EOF.
const CAPABILITIES: u32 = 0x0200 | 0x0008 | 0x2000 | 0x8000 | 0x0008_0000 | 0x0100_0000;
const UTF8MB4: u8 = 255;

/// One client's connection: packets with their numbers.
pub(super) struct Wire {
    stream: TcpStream,
    sequence: u8,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Wire {
        Wire { stream, sequence: 0 }
    }

    /// The next command; the numbers start over with it.
    pub(super) fn command(&mut self) -> io::Result<Vec<u8>> {
        let packet = self.read()?;
        self.sequence = 1;
        Ok(packet)
    }

    pub(super) fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head)?;
        self.sequence = head[3].wrapping_add(1);
        let mut packet = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
        self.stream.read_exact(&mut packet)?;
        Ok(packet)
    }

    pub(super) fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        assert!(payload.len() < 0xff_ffff, "the stand-in sends no packets of 16 MiB");
        let mut packet = (payload.len() as u32).to_le_bytes().to_vec();
        packet[3] = self.sequence;
        packet.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.stream.write_all(&packet)
    }

    /// The greeting; whoever answers is let in.
    pub(super) fn greet(&mut self, version: &str) -> io::Result<()> {
        let mut greeting = vec![10];
        greeting.extend_from_slice(version.as_bytes());
        greeting.extend_from_slice(&[0, 1, 0, 0, 0]);
        greeting.extend_from_slice(b"abcdefgh\0");
        greeting.extend_from_slice(&(CAPABILITIES as u16).to_le_bytes());
        greeting.extend_from_slice(&[UTF8MB4, 2, 0]);
        greeting.extend_from_slice(&((CAPABILITIES >> 16) as u16).to_le_bytes());
        greeting.push(21);
        greeting.extend_from_slice(&[0; 10]);
        greeting.extend_from_slice(b"ijklmnopqrst\0mysql_native_password\0");
        self.write(&greeting)?;
        self.read()?;
        self.ok()
    }

    pub(super) fn ok(&mut self) -> io::Result<()> {
        self.write(&[0, 0, 0, 2, 0, 0, 0])
    }

    pub(super) fn error(&mut self, code: u16, state: &str, message: &str) -> io::Result<()> {
        let mut packet = vec![0xff];
        packet.extend_from_slice(&code.to_le_bytes());
        packet.push(b'#');
        packet.extend_from_slice(state.as_bytes());
        packet.extend_from_slice(message.as_bytes());
        self.write(&packet)
    }

    /// A result as text.
    pub(super) fn rows(&mut self, names: &[String], rows: &[Vec<Option<String>>]) -> io::Result<()> {
        self.write(&lenenc(names.len() as u64))?;
        for name in names {
            self.write(&definition(name, 253, false))?;
        }
        for row in rows {
            let cell = |cell: &Option<String>| cell.as_ref().map_or_else(|| vec![0xfb], |text| counted(text.as_bytes()));
            self.write(&row.iter().flat_map(cell).collect::<Vec<u8>>())?;
        }
        self.end_of_rows()
    }

    /// The answer to a PREPARE without parameters.
    pub(super) fn prepared(&mut self, id: u32, columns: &[Column]) -> io::Result<()> {
        let mut head = vec![0];
        head.extend_from_slice(&id.to_le_bytes());
        head.extend_from_slice(&(columns.len() as u16).to_le_bytes());
        head.extend_from_slice(&[0; 5]);
        self.write(&head)?;
        columns.iter().try_for_each(|column| self.write(&column_definition(column)))
    }

    /// A result in binary.
    pub(super) fn binary_rows(&mut self, columns: &[Column], rows: &[Vec<Cell>]) -> io::Result<()> {
        self.write(&lenenc(columns.len() as u64))?;
        columns.iter().try_for_each(|column| self.write(&column_definition(column)))?;
        for row in rows {
            let mut nulls = vec![0; (row.len() + 9) / 8];
            let mut values = Vec::new();
            for (i, (cell, column)) in row.iter().zip(columns).enumerate() {
                match cell {
                    Cell::Null => nulls[(i + 2) / 8] |= 1 << ((i + 2) % 8),
                    cell => values.extend(column.kind.in_result(cell)),
                }
            }
            self.write(&[&[0][..], &nulls, &values].concat())?;
        }
        self.end_of_rows()
    }

    fn end_of_rows(&mut self) -> io::Result<()> {
        self.write(&[0xfe, 0, 0, 2, 0, 0, 0])
    }
}

fn column_definition(column: &Column) -> Vec<u8> {
    definition(&column.name, column.kind.result_type(), column.kind.is_unsigned())
}

fn definition(name: &str, kind: u8, unsigned: bool) -> Vec<u8> {
    let mut packet = counted(b"def");
    for text in ["", "t", "t", name, name] {
        packet.extend(counted(text.as_bytes()));
    }
    packet.extend_from_slice(&[0x0c, UTF8MB4, 0, 0xff, 0xff, 0, 0, kind, if unsigned { 0x20 } else { 0 }, 0, 6, 0, 0]);
    packet
}

/// A number in one to nine bytes.
pub(super) fn lenenc(n: u64) -> Vec<u8> {
    match n {
        0..251 => vec![n as u8],
        251..0x1_0000 => [&[0xfc][..], &(n as u16).to_le_bytes()].concat(),
        0x1_0000..0x100_0000 => [&[0xfd][..], &n.to_le_bytes()[..3]].concat(),
        _ => [&[0xfe][..], &n.to_le_bytes()].concat(),
    }
}

/// Bytes with their length before them.
pub(super) fn counted(bytes: &[u8]) -> Vec<u8> {
    [lenenc(bytes.len() as u64), bytes.to_vec()].concat()
}
