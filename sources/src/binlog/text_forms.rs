//! Types that the log stores as fixed bytes and SQL prints as text: UUID, INET4, INET6.

use std::fmt::Write;

/// `123e4567-e89b-12d3-a456-426655440000` of 16 bytes as they lie in the log.
///
/// Versions 1 to 5 are stored with their five parts in reverse order, so that times sort; later versions and what is no RFC variant lie as
/// printed (since MariaDB 10.11.5).
pub(crate) fn uuid(stored: [u8; 16]) -> String {
    let bytes = if is_stored_reversed(&stored) { unreversed(stored) } else { stored };
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}

/// The parts in stored order are node (6 bytes), clock (2), high, middle and low time: an RFC variant stands in byte 6, and a version
/// from 1 to 5 in byte 8.
fn is_stored_reversed(stored: &[u8; 16]) -> bool {
    let variant_is_rfc = stored[6] & 0x80 != 0;
    variant_is_rfc && stored[8] > 0 && stored[8] < 0x60
}

fn unreversed(s: [u8; 16]) -> [u8; 16] {
    [s[12], s[13], s[14], s[15], s[10], s[11], s[8], s[9], s[6], s[7], s[0], s[1], s[2], s[3], s[4], s[5]]
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
