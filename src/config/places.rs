//! From a [`Place`] in the definition to bytes of the file.

use std::collections::HashMap;
use std::ops::Range;

use thalweg_formulas::Span;
use thalweg_graph::spec::Place;

/// Where the parts of a definition were written.
#[derive(Clone, Debug, Default)]
pub struct PlaceMap {
    spots: HashMap<Place, Spot>,
}

#[derive(Clone, Debug)]
struct Spot {
    /// The whole value.
    span: Range<usize>,
    /// Where the content of a string starts, if a place inside it can be pointed at.
    content: Option<usize>,
}

impl PlaceMap {
    /// Records that `place` was written at `span`; `content` is where its text starts, if it stands there byte for byte.
    pub fn add(&mut self, place: Place, span: Range<usize>, content: Option<usize>) {
        self.spots.insert(place, Spot { span, content });
    }

    /// The bytes of `place`, narrowed to `inner` where the text stands in the file as it is; the nearest enclosing place that is known.
    pub fn locate(&self, place: &Place, inner: Option<Span>) -> Option<Range<usize>> {
        let mut at = Some(place.clone());
        let mut exact = true;
        while let Some(place) = at {
            match self.spots.get(&place) {
                Some(Spot { content: Some(start), .. }) if exact && inner.is_some() => {
                    let inner = inner?;
                    return Some(start + inner.start as usize..start + inner.end as usize);
                }
                Some(spot) => return Some(spot.span.clone()),
                None => at = enclosing(place),
            }
            exact = false;
        }
        None
    }
}

/// The place around a place: one key shorter, then the item as a whole (key `""`).
fn enclosing(place: Place) -> Option<Place> {
    let shorter = |key: &str| key.rsplit_once('.').map_or(String::new(), |(head, _)| head.to_owned());
    let shorter_static = |key: &'static str| key.rsplit_once('.').map_or("", |(head, _)| head);
    match place {
        Place::Table(_, key) if key.is_empty() => None,
        Place::Field(_, "") | Place::Effect(_, "") | Place::Classify(_, "") | Place::Reaction(_, "") => None,
        Place::Schedule(_, "") => None,
        Place::Schedule(i, key) => Some(Place::Schedule(i, shorter_static(key))),
        Place::CancelOn(rule, _) => Some(Place::Reaction(rule, "timer.cancel_on")),
        Place::Goal(_, key) if key.is_empty() => None,
        Place::Goal(i, key) => Some(Place::Goal(i, shorter(&key))),
        Place::Table(i, key) => Some(Place::Table(i, shorter(&key))),
        Place::Field(i, key) => Some(Place::Field(i, shorter_static(key))),
        Place::Effect(i, key) => Some(Place::Effect(i, shorter_static(key))),
        Place::Payload(effect, _) => Some(Place::Effect(effect, "payload")),
        Place::Classify(i, key) => Some(Place::Classify(i, shorter_static(key))),
        Place::Reaction(i, key) => Some(Place::Reaction(i, shorter_static(key))),
        Place::Action { effect: true, owner, key, .. } if key.is_empty() => Some(Place::Effect(owner, "actions")),
        Place::Action { effect: false, owner, key, .. } if key.is_empty() => Some(Place::Reaction(owner, "actions")),
        Place::Action { effect, owner, action, key } => Some(Place::Action { effect, owner, action, key: shorter(&key) }),
    }
}
