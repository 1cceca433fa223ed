//! What a made-up call looks like: every column of its row, drawn from the account's cast.
//!
//! The values agree with each other (durations add up, a lost call has no talk, visit columns are there only for
//! dynamic call tracking), as far as the documents tell how rows hang together.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::{calls_scenario::CallsScenario, generate::draw_seconds, scenario::Tables};

pub const TAGGER_LOGIN: &str = "reports@example.ru";

const REGIONS: [(i64, &str); 5] = [
    (77, "Москва"),
    (78, "Санкт-Петербург"),
    (66, "Свердловская область"),
    (16, "Республика Татарстан"),
    (54, "Новосибирская область"),
];
const QUERIES: [&str; 4] =
    ["пластиковые окна цена", "остекление балкона под ключ", "окна купить недорого", "замер окон бесплатно"];
const LOST_REASONS: [&str; 3] = ["no_success_operator_call", "disconnect_before_call_processing", "timeout"];
const DEVICES: [&str; 4] = ["mobile", "mobile", "desktop", "tablet"];

/// The few facts that decide when a call ends.
pub struct Sketch {
    pub source: String,
    pub lost: bool,
    pub wait: u64,
    pub talk: u64,
}

impl Sketch {
    pub fn draw(settings: &CallsScenario, seed: u64) -> Sketch {
        let mut lot = Rng::with_seed(seed);
        let long = lot.f64() < settings.long.share;
        let lost = !long && lot.f64() < settings.lost_share;
        let talk = if long { settings.long.talk } else { settings.talk };
        Sketch {
            source: draw_source(settings, &mut lot),
            lost,
            wait: lot.u64(3..45),
            talk: if lost { 0 } else { draw_seconds(talk, &mut lot) },
        }
    }

    pub fn total(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.wait + self.talk)
    }

    pub fn is_dynamic(&self) -> bool {
        matches!(self.source.as_str(), "dynamic_call_tracking" | "simple_dt")
    }
}

fn draw_source(settings: &CallsScenario, lot: &mut Rng) -> String {
    let sum: f64 = settings.sources.values().sum();
    let mut point = lot.f64() * sum;
    for (source, weight) in &settings.sources {
        point -= weight;
        if point < 0.0 {
            return source.clone();
        }
    }
    settings.sources.keys().next_back().cloned().unwrap_or_default()
}

/// Paints one row.
pub struct Portrait<'a> {
    tables: &'a Tables,
    settings: &'a CallsScenario,
    sketch: &'a Sketch,
    id: i64,
    lot: Rng,
    row: Map<String, Value>,
}

impl<'a> Portrait<'a> {
    pub fn new(
        tables: &'a Tables,
        settings: &'a CallsScenario,
        sketch: &'a Sketch,
        seed: u64,
        id: i64,
    ) -> Portrait<'a> {
        Portrait { tables, settings, sketch, id, lot: Rng::with_seed(seed ^ 0x706f_7274), row: Map::new() }
    }

    /// The columns that are not empty; the times and ids are the call's own and not here.
    pub fn paint(mut self) -> Map<String, Value> {
        self.paint_line();
        self.paint_durations();
        self.paint_people();
        self.paint_attributes();
        if self.sketch.is_dynamic() {
            self.paint_visit();
        }
        self.row
    }

    fn set(&mut self, column: &str, value: impl Into<Value>) {
        self.row.insert(column.into(), value.into());
    }

    fn paint_line(&mut self) {
        let sip = self.sketch.source == "sip";
        let outgoing = sip && self.lot.bool();
        let (region_id, region) = REGIONS[self.lot.usize(..REGIONS.len())];
        let caller = format!("7999{:07}", self.lot.u32(..10_000_000));
        let scenario = self.draw_row("get.scenarios");
        let number = self.draw_row("get.virtual_numbers");
        self.set("direction", if outgoing { "out" } else { "in" });
        self.set("source", self.sketch.source.clone());
        self.set("communication_type", "call");
        self.set("contact_phone_number", caller);
        self.set("cpn_region_id", region_id);
        self.set("cpn_region_name", region);
        self.set("cpn_country_name", "Россия");
        self.set("cpn_country_id", "7");
        let transferred = !self.sketch.lost && self.lot.f64() < 0.05;
        self.set("is_transfer", transferred);
        self.set("virtual_phone_number", number["virtual_phone_number"].clone());
        self.set("scenario_id", scenario["id"].clone());
        self.set("scenario_name", scenario["name"].clone());
        self.set("scenario_operations", scenario["operations"].clone());
    }

    fn paint_durations(&mut self) {
        let Sketch { lost, wait, talk, .. } = *self.sketch;
        let reason = if lost {
            LOST_REASONS[self.lot.usize(..LOST_REASONS.len())]
        } else if self.lot.f64() < 0.7 {
            "subscriber_disconnects"
        } else {
            "operator_disconnects"
        };
        self.set("finish_reason", reason);
        self.set("is_lost", lost);
        self.set("wait_duration", wait);
        self.set("total_wait_duration", wait);
        self.set("talk_duration", talk);
        self.set("clean_talk_duration", talk.saturating_sub(2));
        self.set("total_duration", wait + talk);
        if !lost {
            let postprocess = self.lot.u64(0..20);
            self.set("postprocess_duration", postprocess);
        }
    }

    fn paint_people(&mut self) {
        let employee = self.draw_row("get.employees");
        if employee.is_empty() {
            return;
        }
        let (id, name) = (employee["id"].clone(), employee["full_name"].clone());
        let answered = !self.sketch.lost;
        self.set(
            "employees",
            json!([{"employee_id": id, "employee_full_name": name, "is_answered": answered, "is_talked": answered}]),
        );
        if !answered {
            return;
        }
        for role in ["last_answered", "first_answered", "last_talked", "first_talked"] {
            self.set(&format!("{role}_employee_id"), id.clone());
            self.set(&format!("{role}_employee_full_name"), name.clone());
        }
        let phone = format!("7499000{:04}", 9000 + self.lot.u32(..1000));
        self.set("operator_phone_number", phone);
    }

    fn paint_attributes(&mut self) {
        let mut attributes = Vec::new();
        if self.lot.f64() < self.settings.primary_share {
            attributes.extend(["first", "primary"]);
        } else {
            attributes.push("secondary");
        }
        if self.sketch.lost {
            attributes.push("lost");
        } else if self.sketch.talk >= 30 {
            attributes.extend(["target", "quality"]);
        }
        self.set("attributes", attributes);
    }

    fn paint_visit(&mut self) {
        let site = self.draw_row("get.sites");
        let campaign = self.draw_row("get.campaigns");
        let domain = site["domain_name"].as_str().unwrap_or("example.ru").to_owned();
        self.set("site_id", site["id"].clone());
        self.set("site_domain_name", site["domain_name"].clone());
        for prefix in ["campaign", "visitor_first_campaign"] {
            self.set(&format!("{prefix}_id"), campaign["id"].clone());
            self.set(&format!("{prefix}_name"), campaign["name"].clone());
        }
        self.set("visit_other_campaign", false);
        self.paint_visitor(&domain);
        self.paint_advertising(&domain);
    }

    fn paint_visitor(&mut self, domain: &str) {
        let visits = 1 + self.lot.u64(0..4) * u64::from(self.lot.bool());
        let region = REGIONS[self.lot.usize(..REGIONS.len())].1;
        let visitor = 880_000_000 + self.lot.i64(0..100_000_000);
        self.set("communication_number", 1);
        self.set("communication_page_url", format!("https://{domain}/catalog/"));
        self.set("visitor_id", visitor);
        self.set("person_id", visitor - 110_000_000);
        self.set("visitor_session_id", 5_000_000_000 + self.id % 1_000_000_000);
        self.set("visitor_type", if visits == 1 { "Новый" } else { "Вернувшийся" });
        self.set("visits_count", visits);
        self.set("visitor_city", region);
        self.set("visitor_region", region);
        self.set("visitor_country", "Россия");
        let device = DEVICES[self.lot.usize(..DEVICES.len())];
        self.set("visitor_device", device);
        let ga = format!("{}.{}", self.lot.u32(..), self.lot.u32(1_600_000_000..1_790_000_000));
        self.set("ua_client_id", ga);
        let ym = format!("{}", self.lot.u64(1_600_000_000_000_000_000..1_790_000_000_000_000_000));
        self.set("ym_client_id", ym);
        self.set("segments", json!([{"segment_id": 3301, "segment_name": "Смотрели каталог"}]));
        self.set("visitor_custom_properties", json!([{"property_name": "user_type", "property_value": "retail"}]));
    }

    fn paint_advertising(&mut self, domain: &str) {
        if self.lot.f64() < 0.25 {
            self.set("channel", "organic");
            self.set("search_engine", "yandex");
            self.set("referrer_domain", "yandex.ru");
            self.set("referrer", "https://yandex.ru/");
            self.set("entrance_page", format!("https://{domain}/"));
            return;
        }
        let query = QUERIES[self.lot.usize(..QUERIES.len())];
        let yclid = format!("{}", self.lot.u64(1_000_000_000_000_000_000..9_000_000_000_000_000_000));
        let page = format!("https://{domain}/?utm_source=yandex&utm_medium=cpc&utm_campaign=okna&yclid={yclid}");
        self.set("channel", "paid");
        self.set("search_query", query);
        self.set("search_engine", "yandex");
        self.set("referrer_domain", "yandex.ru");
        self.set("referrer", "https://yandex.ru/");
        self.set("entrance_page", page);
        self.set("yclid", yclid);
        for prefix in ["utm", "eq_utm"] {
            self.set(&format!("{prefix}_source"), "yandex");
            self.set(&format!("{prefix}_medium"), "cpc");
            self.set(&format!("{prefix}_term"), query);
            self.set(&format!("{prefix}_campaign"), "okna");
        }
        self.set("source_id", 8);
        self.set("source_name", "Яндекс.Директ");
        self.set("source_new", "Контекст");
        self.set("channel_new", "Контекстная реклама");
        self.set("channel_code", "context");
    }

    /// A row of a dictionary by lot; an empty one when the dictionary is empty.
    fn draw_row(&mut self, dictionary: &str) -> Row<'a> {
        let rows = self.tables.get(dictionary).map_or(&[][..], Vec::as_slice);
        Row(self.lot.choice(rows))
    }
}

/// A dictionary row, or nothing; a column it lacks is null.
struct Row<'a>(Option<&'a Map<String, Value>>);

impl Row<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl std::ops::Index<&str> for Row<'_> {
    type Output = Value;

    fn index(&self, column: &str) -> &Value {
        self.0.and_then(|row| row.get(column)).unwrap_or(&Value::Null)
    }
}
