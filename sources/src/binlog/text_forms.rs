//! Types that the log stores as fixed bytes and SQL prints as text: UUID, INET4, INET6.

use std::fmt::Write;

/// `123e4567-e89b-12d3-a456-426655440000`. Tables store it with its parts reversed, so that times sort; the log has it as printed.
pub(crate) fn uuid(bytes: [u8; 16]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Digit by digit: a position of MySQL has one, and every transaction prints its position.
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
    }
    text
}

/// `10.0.0.1`.
pub(crate) fn inet4([a, b, c, d]: [u8; 4]) -> String {
    format!("{a}.{b}.{c}.{d}")
}

/// An address as the server prints it: the first longest run of zero words, also of one, is `::`, and the last four bytes are dotted
/// behind `::` or `::ffff:`.
pub(crate) fn inet6(bytes: [u8; 16]) -> String {
    let words: [u16; 8] = std::array::from_fn(|i| u16::from_be_bytes([bytes[2 * i], bytes[2 * i + 1]]));
    let (gap, gap_len) = longest_zeros(&words);
    let mut text = String::new();
    let mut i = 0;
    while i < 8 {
        if gap_len > 0 && i == gap {
            text.push_str("::");
            i += gap_len;
        } else if i == 6 && gap_len > 0 && gap == 0 && (gap_len == 6 || gap_len == 5 && words[5] == 0xffff) {
            separate(&mut text);
            text.push_str(&inet4([bytes[12], bytes[13], bytes[14], bytes[15]]));
            break;
        } else {
            separate(&mut text);
            write!(text, "{:x}", words[i]).expect("a string takes everything");
            i += 1;
        }
    }
    text
}

fn separate(text: &mut String) {
    if !text.is_empty() && !text.ends_with(':') {
        text.push(':');
    }
}

fn longest_zeros(words: &[u16; 8]) -> (usize, usize) {
    let (mut best, mut best_len) = (0, 0);
    let (mut start, mut len) = (0, 0);
    for (i, word) in words.iter().enumerate() {
        if *word == 0 {
            start = if len == 0 { i } else { start };
            len += 1;
            (best, best_len) = if len > best_len { (start, len) } else { (best, best_len) };
        } else {
            len = 0;
        }
    }
    (best, best_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_the_server_prints_them() {
        for (words, text) in [
            ([0, 0, 0, 0, 0, 0, 0, 1], "::1"),
            ([1, 0, 2, 3, 4, 5, 6, 7], "1::2:3:4:5:6:7"),
            ([0, 0, 0, 0, 0, 0, 0x0102, 0x0304], "::1.2.3.4"),
            ([0, 0, 0, 0, 0, 0xffff, 0x0102, 0x0304], "::ffff:1.2.3.4"),
            ([0, 0, 0, 0, 0, 0, 1, 0], "::0.1.0.0"),
            ([1, 0, 0, 0, 0, 0, 0, 0], "1::"),
            ([0, 0, 1, 0, 0, 0, 0, 0], "0:0:1::"),
            ([1, 0, 0, 2, 0, 0, 0, 3], "1:0:0:2::3"),
            ([0, 0, 0, 0, 0, 0, 0, 0], "::"),
            ([1, 2, 3, 4, 5, 6, 7, 8], "1:2:3:4:5:6:7:8"),
        ] {
            let words: [u16; 8] = words;
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
            assert_eq!(inet6(bytes.try_into().unwrap()), text);
        }
    }
}
