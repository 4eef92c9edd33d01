//! Rows of keys that are whole numbers close together: pages of consecutive numbers, 4 bytes each, no hash.
//!
//! Keys that a database counts up come like that. Whether they do is judged number by number: a page is opened for a key that is near the
//! one that came before it, as long as the pages are half full; where no page is open, keys are the hash index's.
//!
//! Invariant INV-PAGE: a key whose page is open stands there, or nowhere. So who opens a page brings its keys over from the index.
//!
//! Cost: 4 B a key where keys are dense, at most 8 and some KiB.

use hashbrown::HashMap;

/// Numbers on a page, as a power of two.
const BITS: u32 = 9;

/// Numbers on a page.
const PAGE: usize = 1 << BITS;

/// No row.
const NONE: u32 = u32::MAX;

/// Pages that may be open however empty they are.
const SPARE: usize = 4;

/// Rows by number.
#[derive(Debug, Default)]
pub struct Pages {
    /// Where the page of a number stands.
    places: HashMap<u64, u32, foldhash::fast::FixedState>,
    pages: Vec<Page>,
    free: Vec<u32>,
    /// The key that came last.
    last: u64,
    /// The page that was asked for last, and its place.
    recent: std::cell::Cell<(u64, u32)>,
    len: usize,
}

#[derive(Debug)]
struct Page {
    rows: Box<[u32; PAGE]>,
    taken: u32,
}

impl Pages {
    /// Keys that stand on pages.
    pub fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn place(&self, page: u64) -> Option<u32> {
        let (recent, place) = self.recent.get();
        // Pages that there are have at least one bit less than a key: this is none before the first.
        if recent == page + 1 {
            return Some(place);
        }
        let place = *self.places.get(&page)?;
        self.recent.set((page + 1, place));
        Some(place)
    }

    /// The row of a key, if its page is open: `Some(None)` says that the key has none.
    #[inline]
    pub fn find(&self, key: u64) -> Option<Option<u32>> {
        let place = self.place(key >> BITS)?;
        let row = self.pages[place as usize].rows[key as usize % PAGE];
        Some((row != NONE).then_some(row))
    }

    /// Gives a key, which has none, its row; `false` if its page is not open.
    #[inline]
    pub fn put(&mut self, key: u64, row: u32) -> bool {
        let Some(place) = self.place(key >> BITS) else { return false };
        let page = &mut self.pages[place as usize];
        page.rows[key as usize % PAGE] = row;
        page.taken += 1;
        self.len += 1;
        self.last = key;
        true
    }

    /// Whether a page is to be opened for a new key; if not, the next key is judged by this one. `keys` there are, wherever they stand.
    #[inline]
    pub fn wants(&mut self, key: u64, keys: usize) -> bool {
        let is_near = key.wrapping_sub(self.last).wrapping_add(PAGE as u64) < 2 * PAGE as u64;
        self.last = key;
        let open = self.places.len();
        is_near && keys > 0 && open * PAGE <= 2 * keys + SPARE * PAGE
    }

    /// Opens the page of a key; gives the keys that belong there.
    #[cold]
    pub fn open(&mut self, key: u64) -> impl Iterator<Item = u64> + use<> {
        let page = key >> BITS;
        let place = self.free.pop().unwrap_or_else(|| {
            self.pages.push(Page { rows: Box::new([NONE; PAGE]), taken: 0 });
            self.pages.len() as u32 - 1
        });
        self.places.insert(page, place);
        (0..PAGE as u64).map(move |at| page << BITS | at)
    }

    /// Takes a key out if this is its row; whether it was, or `None` if its page is not open. A page without keys is closed.
    pub fn take(&mut self, key: u64, row: u32) -> Option<bool> {
        let place = self.place(key >> BITS)?;
        let page = &mut self.pages[place as usize];
        let here = &mut page.rows[key as usize % PAGE];
        if *here != row {
            return Some(false);
        }
        *here = NONE;
        page.taken -= 1;
        self.len -= 1;
        if page.taken == 0 {
            self.places.remove(&(key >> BITS));
            self.free.push(place);
            self.recent.set((0, 0));
        }
        Some(true)
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        let places = self.places.capacity() * 8 / 7 * 17;
        let pages = self.pages.len() * PAGE * 4 + self.pages.capacity() * size_of::<Page>();
        (places + pages + self.free.capacity() * 4) as u64
    }
}
