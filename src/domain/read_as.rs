//! What the rows of the horizon were last read as: in which zone, and through which filters.
//!
//! A ledger tells what was published by the zone and the filters of its time. When an account has others, every row of
//! the horizon may mean something else, so the horizon is read again at once; a reading of all of it under the present
//! ones ends the change. Until then some rows stand as they were read before, also after a crash: the views that they
//! may have been read under are remembered.

use jiff::tz::TimeZone;

use super::time::{Instant, Interval, LocalInterval, LocalTime};

/// How rows are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The name of the account's zone.
    pub zone: String,
    /// A fingerprint of the filters.
    pub filters: String,
}

/// The views under which rows of the horizon were read last. Oldest first; the last one is the present one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadAs(Vec<View>);

impl ReadAs {
    pub const fn restore(views: Vec<View>) -> Self {
        Self(views)
    }

    /// None are known of an account that is new, or whose record does not tell them.
    pub fn views(&self) -> &[View] {
        &self.0
    }

    /// From now on rows are read so. Tells whether the horizon has to be read again; where nothing is known, what was
    /// read is taken for read so.
    pub fn turn_to(&mut self, present: View) -> bool {
        self.0.retain(|former| *former != present);
        // Of several with one zone, one says that there were others.
        let mut zones: Vec<String> = Vec::new();
        self.0.retain(|former| {
            let is_new = !zones.contains(&former.zone);
            zones.push(former.zone.clone());
            is_new
        });
        self.0.push(present);
        !self.is_through()
    }

    /// Notes that the whole horizon was read under the present view.
    pub fn read_through(&mut self) {
        let present = self.0.pop();
        self.0.clear();
        self.0.extend(present);
    }

    /// Whether all rows of the horizon were read under the present view.
    pub fn is_through(&self) -> bool {
        self.0.len() < 2
    }

    /// The zones that rows may have been read in, apart from the present one. Oldest first.
    pub fn former_zones(&self) -> impl Iterator<Item = &str> {
        let (present, former) = match self.0.split_last() {
            Some((present, former)) => (Some(&present.zone), former),
            None => (None, &[] as &[View]),
        };
        former.iter().filter(move |view| Some(&view.zone) != present).map(|view| view.zone.as_str())
    }
}

/// Where to look for the rows of a window while the account's zone changes: the service may show a row by the clock of
/// either zone. Wider than the window by the difference of the two, at both ends.
pub fn local_window(window: Interval, zone: &TimeZone, former: &TimeZone) -> LocalInterval {
    let (now, before) = (window.to_local(zone), window.to_local(former));
    LocalInterval { from: now.from.min(before.from), till: now.till.max(before.till) }
}

/// The start from which a row that is not in the ledger is new, while the account's zone changes. What lies before may
/// have been published and forgotten: by one of the two clocks it is older than `floor`, behind which the ledger does
/// not reach.
pub fn new_from(floor: Instant, zone: &TimeZone, former: &TimeZone) -> LocalTime {
    floor.to_local(zone).max(floor.to_local(former))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(zone: &str, filters: &str) -> View {
        View { zone: zone.to_owned(), filters: filters.to_owned() }
    }

    fn read_as(views: &[(&str, &str)]) -> ReadAs {
        ReadAs::restore(views.iter().map(|(zone, filters)| view(zone, filters)).collect())
    }

    #[test]
    fn what_is_not_known_is_taken_for_read_as_it_is_now() {
        let mut unknown = ReadAs::default();
        assert!(!unknown.turn_to(view("Europe/Moscow", "all")));
        assert_eq!(unknown, read_as(&[("Europe/Moscow", "all")]));
        assert!(!unknown.turn_to(view("Europe/Moscow", "all")), "nothing has changed");
    }

    #[test]
    fn a_change_lasts_until_the_horizon_was_read_through() {
        for changed in [view("Europe/Moscow", "tagged"), view("Asia/Omsk", "all")] {
            let mut read_as = read_as(&[("Europe/Moscow", "all")]);
            assert!(read_as.turn_to(changed.clone()));
            assert!(read_as.turn_to(changed.clone()), "a restart in between repeats the reading");
            assert!(!read_as.is_through());
            read_as.read_through();
            assert!(read_as.is_through());
            assert_eq!(read_as.views(), std::slice::from_ref(&changed));
            assert!(!read_as.turn_to(changed));
        }
    }

    /// Some rows may have been read under the other view meanwhile.
    #[test]
    fn a_change_that_is_taken_back_is_a_change() {
        let mut read_as = read_as(&[("Europe/Moscow", "all")]);
        assert!(read_as.turn_to(view("Asia/Omsk", "all")));
        assert!(read_as.turn_to(view("Europe/Moscow", "all")));
        assert_eq!(read_as.former_zones().collect::<Vec<_>>(), ["Asia/Omsk"]);
    }

    #[test]
    fn former_zones_are_remembered_and_do_not_pile_up() {
        let mut read_as = read_as(&[("Europe/Moscow", "all")]);
        for round in 0..50 {
            for zone in ["Asia/Omsk", "Europe/Moscow", "Europe/Samara"] {
                assert!(read_as.turn_to(view(zone, &format!("filters {round}"))));
            }
        }
        assert_eq!(read_as.former_zones().collect::<Vec<_>>(), ["Europe/Moscow", "Asia/Omsk"]);
        assert_eq!(read_as.views().len(), 4, "one of the present zone says that its filters were others");
    }

    #[test]
    fn other_filters_have_no_former_zone() {
        let mut read_as = read_as(&[("Europe/Moscow", "all")]);
        read_as.turn_to(view("Europe/Moscow", "tagged"));
        assert_eq!(read_as.former_zones().count(), 0);
    }

    #[test]
    fn a_window_holds_the_times_of_both_clocks() {
        let zone = |name| TimeZone::get(name).unwrap();
        let at = |text: &str| LocalTime::parse(text).unwrap();
        let noon = at("2026-03-02 12:00:00").to_instant(&TimeZone::UTC);
        let window = Interval::new(noon, noon + std::time::Duration::from_secs(3600)).unwrap();
        let expected = LocalInterval { from: at("2026-03-02 15:00:00"), till: at("2026-03-02 23:00:00") };
        let (moscow, vladivostok) = (zone("Europe/Moscow"), zone("Asia/Vladivostok"));
        assert_eq!(local_window(window, &moscow, &vladivostok), expected);
        assert_eq!(local_window(window, &vladivostok, &moscow), expected);
        assert_eq!(new_from(noon, &moscow, &vladivostok), at("2026-03-02 22:00:00"));
        assert_eq!(new_from(noon, &vladivostok, &moscow), at("2026-03-02 22:00:00"));
    }
}
