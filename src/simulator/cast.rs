//! The cast of an account: its tags, sites, campaigns, scenarios, employees and numbers, as dictionary rows.
//!
//! What a scenario gives in `tables` is taken as it is; what it leaves out is made up here. Calls are drawn from the
//! rows, so the dictionaries and the calls always agree.

use serde_json::{Map, Value, json};

use super::scenario::Tables;

const SURNAMES: [&str; 10] =
    ["Иванов", "Смирнов", "Кузнецов", "Попов", "Васильев", "Петров", "Соколов", "Михайлов", "Новиков", "Фёдоров"];
const MEN: [&str; 6] = ["Пётр", "Алексей", "Дмитрий", "Сергей", "Андрей", "Михаил"];
const WOMEN: [&str; 6] = ["Анна", "Мария", "Елена", "Ольга", "Наталья", "Татьяна"];
const TAGS: [&str; 7] =
    ["Целевой", "Первичный звонок", "Нецелевой", "Запись на замер", "Жалоба", "Повторное обращение", "Спам"];
const SITES: [(&str, &str); 2] = [("okna-primer.ru", "Окна Пример"), ("balkon-primer.ru", "Балконы Пример")];
const CAMPAIGNS: [(&str, &str); 4] = [
    ("Яндекс.Директ Поиск", "yandex.direct"),
    ("Яндекс.Директ РСЯ", "yandex.direct"),
    ("VK Реклама", "vk_ads"),
    ("SEO", ""),
];
const SCENARIOS: [&str; 2] = ["Основной сценарий", "Нерабочее время"];

/// The dictionaries of an account, complete.
pub fn complete(tables: &Tables, base_id: i64) -> Tables {
    let mut complete = tables.clone();
    let mut make_up = |method: &str, dictionary: fn(i64) -> Vec<Value>| {
        complete.entry(method.to_owned()).or_insert_with(|| rows(dictionary(base_id)));
    };
    make_up("get.tags", tags);
    make_up("get.sites", sites);
    make_up("get.campaigns", campaigns);
    make_up("get.scenarios", scenarios);
    make_up("get.employees", employees);
    make_up("get.virtual_numbers", virtual_numbers);
    complete
}

fn rows(values: Vec<Value>) -> Vec<Map<String, Value>> {
    let objects = values.into_iter().filter_map(|value| match value {
        Value::Object(row) => Some(row),
        _ => None,
    });
    objects.collect()
}

fn tags(base: i64) -> Vec<Value> {
    let own = (0_i64..).zip(TAGS).map(|(index, name)| {
        json!({"id": base + 100 + index, "name": name, "is_system": false, "rating": index, "is_auto": false,
               "state": "active", "creation_datetime": "2024-06-12 10:00:00", "color": "#3f8ae0"})
    });
    let system = json!({"id": 1, "name": "Не обработано", "is_system": true});
    std::iter::once(system).chain(own).collect()
}

fn sites(base: i64) -> Vec<Value> {
    let sites = (0_i64..).zip(SITES).map(|(index, (domain, name))| {
        json!({"id": base + 200 + index, "domain_name": domain, "name": name,
               "default_phone_number": format!("7499000{:04}", index), "creation_date": "2024-06-11 12:41:09",
               "default_scenario": {"scenario_id": base + 400, "scenario_name": SCENARIOS[0]},
               "site_key": format!("{:016x}", base + index), "is_editable": true, "target_call_min_duration": 30,
               "track_subdomains": true, "cookie_lifetime": 90, "campaign_lifetime": 90, "sales_enabled": true,
               "second_communication_period": 90, "services_enabled": true, "state": "active",
               "site_blocks": [{"site_block_id": base + 250 + index, "site_block_name": "Основной блок"}]})
    });
    sites.collect()
}

fn campaigns(base: i64) -> Vec<Value> {
    let system = json!({"id": -1, "name": "Посетители без рекламной кампании", "status": "active", "type": "system"});
    let own = (0_i64..).zip(CAMPAIGNS).map(|(index, (name, engine))| {
        let site = (index % 2) as usize;
        json!({"id": base + 300 + index, "name": name, "status": "active",
               "type": if engine.is_empty() { "usual" } else { "integrated" },
               "engine": (!engine.is_empty()).then_some(engine), "site_id": base + 200 + index % 2,
               "site_domain_name": SITES[site].0, "creation_time": "2025-09-01 09:00:00"})
    });
    std::iter::once(system).chain(own).collect()
}

fn scenarios(base: i64) -> Vec<Value> {
    let scenarios = (0_i64..).zip(SCENARIOS).map(|(index, name)| {
        json!({"id": base + 400 + index, "name": name,
               "operations": [{"id": base + 450 + index, "name": "Приветствие"},
                              {"id": base + 460 + index, "name": "Переадресация на отдел продаж"}]})
    });
    scenarios.collect()
}

fn employees(base: i64) -> Vec<Value> {
    let employees = (0_usize..8).map(|index| {
        let man = index % 2 == 0;
        let first = if man { MEN[index % MEN.len()] } else { WOMEN[index % WOMEN.len()] };
        let surname = SURNAMES[(index * 3 + base as usize) % SURNAMES.len()];
        let last = if man { surname.to_owned() } else { format!("{surname}а") };
        let id = base + 500 + index as i64;
        json!({"id": id, "login": format!("employee{}@example.ru", index + 1), "first_name": first,
               "last_name": last, "full_name": format!("{last} {first}"), "status": "available", "status_id": 1,
               "calls_available": true, "groups": [{"group_id": base + 600, "group_name": "Отдел продаж"}],
               "phone_numbers": [{"phone_id": id + 1000, "phone_number": format!("7499000{:04}", 9000 + index),
                                  "channels_count": 1, "dial_time": 60, "status": "active"}]})
    });
    employees.collect()
}

fn virtual_numbers(base: i64) -> Vec<Value> {
    let numbers = (0_i64..6).map(|index| {
        json!({"id": base + 700 + index, "virtual_phone_number": format!("7495000{:04}", (base + index * 7) % 10_000),
               "activation_date": "2024-06-12 10:00:00", "status": "active", "category": "usual",
               "type": if index < 3 { "dynamic_call_tracking" } else { "call_tracking" },
               "scenarios": [{"scenario_id": base + 400, "scenario_name": SCENARIOS[0],
                              "call_processing_rule_id": base + 800, "is_active": true}]})
    });
    numbers.collect()
}
