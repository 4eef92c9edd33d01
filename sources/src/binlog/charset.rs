//! Character sets: which one a collation number means, and how its bytes become text.
//!
//! Bytes that are not valid in their character set stay bytes ([`Value::Bytes`]); nothing is replaced silently.

use std::char::decode_utf16;

use thalweg_formulas::Value;

/// How a column's bytes are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Charset {
    /// Not text.
    Binary,
    /// `utf8mb4` and `utf8mb3`.
    Utf8,
    /// The server's `latin1`, which is Windows-1252.
    Latin1,
    /// 7 bits.
    Ascii,
    /// Two bytes a character, most significant first, no surrogates.
    Ucs2,
    /// UTF-16, most significant byte first.
    Utf16,
    /// UTF-16, least significant byte first.
    Utf16Le,
    /// UTF-32, most significant byte first.
    Utf32,
    /// One that is not decoded here: its values stay bytes.
    Other(&'static str),
}

/// The character sets that are not decoded, with the collation numbers below 1024 that belong to each.
const OTHERS: &[(&str, &[u64])] = &[
    ("big5", &[1, 84]),
    ("latin2", &[2, 9, 21, 27, 77]),
    ("dec8", &[3, 69]),
    ("cp850", &[4, 80]),
    ("hp8", &[6, 72]),
    ("koi8r", &[7, 74]),
    ("swe7", &[10, 82]),
    ("ujis", &[12, 91]),
    ("sjis", &[13, 88]),
    ("cp1251", &[14, 23, 50, 51, 52]),
    ("hebrew", &[16, 71]),
    ("tis620", &[18, 89]),
    ("euckr", &[19, 85]),
    ("latin7", &[20, 41, 42, 79]),
    ("koi8u", &[22, 75]),
    ("gb2312", &[24, 86]),
    ("greek", &[25, 70]),
    ("cp1250", &[26, 34, 44, 66, 99]),
    ("gbk", &[28, 87]),
    ("cp1257", &[29, 58, 59]),
    ("latin5", &[30, 78]),
    ("armscii8", &[32, 64]),
    ("cp866", &[36, 68]),
    ("keybcs2", &[37, 73]),
    ("macce", &[38, 43]),
    ("macroman", &[39, 53]),
    ("cp852", &[40, 81]),
    ("cp1256", &[57, 67]),
    ("geostd8", &[92, 93]),
    ("cp932", &[95, 96]),
    ("eucjpms", &[97, 98]),
    ("gb18030", &[248, 249, 250]),
];

impl Charset {
    /// By the number of a collation, as table maps give it. MariaDB puts the NOPAD twin of collation n at n + 1024 and the UCA 14.0.0
    /// collations of each Unicode character set in blocks of 256 from 2048.
    pub fn of_collation(id: u64) -> Charset {
        match id {
            2048..2304 => Charset::Utf8,
            2304..2560 => Charset::Utf8,
            2560..2816 => Charset::Ucs2,
            2816..3072 => Charset::Utf16,
            3072..3328 => Charset::Utf32,
            1024..2048 => Charset::of_collation(id - 1024),
            63 => Charset::Binary,
            33 | 76 | 83 | 192..=215 | 223 | 576..=579 | 45 | 46 | 224..=247 | 255..=323 | 608..=611 => Charset::Utf8,
            5 | 8 | 15 | 31 | 47 | 48 | 49 | 94 => Charset::Latin1,
            11 | 65 => Charset::Ascii,
            35 | 90 | 128..=151 | 159 | 640..=642 => Charset::Ucs2,
            54 | 55 | 101..=124 | 672..=674 => Charset::Utf16,
            56 | 62 => Charset::Utf16Le,
            60 | 61 | 160..=183 | 736..=738 => Charset::Utf32,
            _ => OTHERS
                .iter()
                .find(|(_, ids)| ids.contains(&id))
                .map_or(Charset::Other("unknown"), |(name, _)| Charset::Other(name)),
        }
    }

    /// The name by which every server knows it; `None`: it is not decoded here.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Charset::Binary => Some("binary"),
            Charset::Utf8 => Some("utf8mb4"),
            Charset::Latin1 => Some("latin1"),
            Charset::Ascii => Some("ascii"),
            Charset::Ucs2 => Some("ucs2"),
            Charset::Utf16 => Some("utf16"),
            Charset::Utf16Le => Some("utf16le"),
            Charset::Utf32 => Some("utf32"),
            Charset::Other(_) => None,
        }
    }

    /// By the name that `information_schema` gives it.
    pub fn of_name(name: &str) -> Charset {
        match name {
            "binary" => Charset::Binary,
            "utf8" | "utf8mb3" | "utf8mb4" => Charset::Utf8,
            "latin1" => Charset::Latin1,
            "ascii" => Charset::Ascii,
            "ucs2" => Charset::Ucs2,
            "utf16" => Charset::Utf16,
            "utf16le" => Charset::Utf16Le,
            "utf32" => Charset::Utf32,
            _ => OTHERS
                .iter()
                .find(|(other, _)| *other == name)
                .map_or(Charset::Other("unknown"), |(name, _)| Charset::Other(name)),
        }
    }

    /// Whether values are text: the type of the column.
    pub fn is_text(self) -> bool {
        !matches!(self, Charset::Binary | Charset::Other(_))
    }

    /// A column's bytes as a value.
    #[inline]
    pub fn decode(self, bytes: &[u8]) -> Value {
        match self {
            Charset::Utf8 => std::str::from_utf8(bytes).map_or_else(|_| Value::Bytes(bytes.into()), Value::text),
            _ => self.decode_rare(bytes),
        }
    }

    fn decode_rare(self, bytes: &[u8]) -> Value {
        self.text(bytes).map_or_else(|| Value::Bytes(bytes.into()), Value::text)
    }

    /// A column's bytes as text, if they are valid and the character set is known.
    pub fn text(self, bytes: &[u8]) -> Option<String> {
        match self {
            Charset::Binary | Charset::Other(_) => None,
            Charset::Utf8 => std::str::from_utf8(bytes).ok().map(String::from),
            Charset::Ascii => bytes.is_ascii().then(|| bytes.iter().map(|b| char::from(*b)).collect()),
            Charset::Latin1 => Some(bytes.iter().map(|b| latin1(*b)).collect()),
            // The server accepts no surrogates in ucs2, so reading it as UTF-16 gives the same text or refuses.
            Charset::Ucs2 | Charset::Utf16 => utf16(bytes, u16::from_be_bytes),
            Charset::Utf16Le => utf16(bytes, u16::from_le_bytes),
            Charset::Utf32 => utf32(bytes),
        }
    }
}

/// Windows-1252; its five empty places are the control characters of the same number, as the server has it.
fn latin1(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“',
        '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    decode_utf16(units.iter().map(|u| unit(*u))).collect::<Result<_, _>>().ok()
}

fn utf32(bytes: &[u8]) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    units.iter().map(|u| char::from_u32(u32::from_be_bytes(*u))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_and_what_is_not_text_stays_bytes() {
        for (charset, bytes, text) in [
            (Charset::Utf8, "grün".as_bytes(), Some("grün")),
            (Charset::Utf8, b"gr\xfcn", None),
            (Charset::Latin1, b"gr\xfcn \x80\x81", Some("grün €\u{81}")),
            (Charset::Ascii, b"green", Some("green")),
            (Charset::Ascii, b"gr\xfcn", None),
            (Charset::Ucs2, b"\x00g\x20\xac", Some("g€")),
            (Charset::Utf16, b"\xd8\x3d\xde\x00", Some("😀")),
            (Charset::Utf16, b"\xd8\x3d", None),
            (Charset::Utf16Le, b"\x3d\xd8\x00\xde", Some("😀")),
            (Charset::Utf32, b"\x00\x01\xf6\x00", Some("😀")),
            (Charset::Utf32, b"\x00\x01\xf6", None),
            (Charset::Other("gbk"), b"plain", None),
        ] {
            let expected = text.map_or_else(|| Value::Bytes(bytes.into()), Value::text);
            assert_eq!(charset.decode(bytes), expected, "{charset:?}");
        }
    }

    #[test]
    fn collations_of_mariadb_name_their_character_set() {
        for (id, charset) in [
            (45, Charset::Utf8),
            (1069, Charset::Utf8),
            (2304, Charset::Utf8),
            (1032, Charset::Latin1),
            (2560, Charset::Ucs2),
            (1086, Charset::Utf16Le),
            (3000 + 72, Charset::Utf32),
            (28, Charset::Other("gbk")),
            (1052, Charset::Other("gbk")),
            (999, Charset::Other("unknown")),
        ] {
            assert_eq!(Charset::of_collation(id), charset, "{id}");
        }
    }
}
