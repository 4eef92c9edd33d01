//! Bounds: where a parameter may be.

/// A least and a greatest value, each perhaps missing. Both belong to it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// The least.
    pub least: Option<f64>,
    /// The greatest.
    pub greatest: Option<f64>,
}

impl Bounds {
    /// The value within the bounds that is nearest to `x`.
    pub fn nearest(&self, x: f64) -> f64 {
        let x = self.least.map_or(x, |least| if x < least { least } else { x });
        self.greatest.map_or(x, |greatest| if x > greatest { greatest } else { x })
    }

    /// The middle of two bounds; else 0, or the bound nearest to it.
    pub fn middle(&self) -> f64 {
        match (self.least, self.greatest) {
            (Some(least), Some(greatest)) => least + (greatest - least) / 2.0,
            _ => self.nearest(0.0),
        }
    }

    /// The part of the gradient of a loss that can still be followed at `x`: 0 where the way down leads out of the bounds.
    pub fn inward(&self, x: f64, gradient: f64) -> f64 {
        let stuck = self.least.is_some_and(|least| x <= least && gradient > 0.0)
            || self.greatest.is_some_and(|greatest| x >= greatest && gradient < 0.0);
        if stuck { 0.0 } else { gradient }
    }
}

#[cfg(test)]
mod tests {
    use super::Bounds;

    #[test]
    fn a_bound_stops_what_leads_out_of_it_only() {
        let bounds = Bounds { least: Some(5.0), greatest: Some(24.0) };
        for (x, gradient, inward) in
            [(5.0, 1.0, 0.0), (5.0, -1.0, -1.0), (24.0, -49.66, 0.0), (24.0, 1.0, 1.0), (10.0, 3.0, 3.0), (5.0, 0.0, 0.0)]
        {
            assert_eq!(bounds.inward(x, gradient), inward, "at {x} with {gradient}");
        }
        assert_eq!([4.0, 7.0, 25.0].map(|x| bounds.nearest(x)), [5.0, 7.0, 24.0]);
        assert_eq!(bounds.middle(), 14.5);
        assert_eq!(Bounds { least: Some(3.0), greatest: None }.middle(), 3.0);
        assert_eq!(Bounds::default().middle(), 0.0);
    }

    #[test]
    fn what_is_no_number_stays_none() {
        assert!(Bounds { least: Some(0.0), greatest: Some(1.0) }.nearest(f64::NAN).is_nan());
    }
}
