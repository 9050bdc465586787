//! Raspberry Pi's list of operating systems, as its imager reads it (os_list_imagingutility, version 4): entries, some
//! of which hold further entries, or the address of a further list.

mod reading;

use serde::{Deserialize, Serialize};

use super::address::AddressPattern;

pub use reading::parse;

/// An image in the list. Fields have the list's own names; what is not used here is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListEntry {
    /// For people.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Size once decoded.
    pub extract_size: Option<u64>,
    /// SHA-256 sum once decoded.
    pub extract_sha256: Option<String>,
    /// Size as distributed.
    pub image_download_size: Option<u64>,
    /// SHA-256 sum as distributed.
    pub image_download_sha256: Option<String>,
    /// `YYYY-MM-DD`
    pub release_date: Option<String>,
    /// Boards that it is for, as `pi4-64bit`.
    #[serde(default)]
    pub devices: Vec<String>,
    /// How it is prepared by Raspberry Pi's own imager.
    pub init_format: Option<String>,
    /// Its block map.
    pub bmap_url: Option<String>,
}

impl ListEntry {
    /// Whether it says that it is for 32-bit systems only.
    pub(super) fn only_32_bit(&self) -> bool {
        let of = |bits: &str| self.devices.iter().any(|device| device.ends_with(bits));
        of("-32bit") && !of("-64bit") || self.url.contains("armhf") || self.name.contains("32-bit")
    }
}

/// An image, and whose list it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// What the list says.
    pub image: ListEntry,
    /// Address of the list, where it is not Raspberry Pi's own but one that this names: a third party's.
    pub list: Option<String>,
}

/// The images of a list, flat, and the addresses of further lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Images, in the order of the list.
    pub images: Vec<ListEntry>,
    /// Further lists.
    pub lists: Vec<String>,
}

/// The newest image of Raspberry Pi's own list whose address fits.
pub(super) fn newest<'a>(list: &'a [Listed], pattern: &AddressPattern) -> Option<&'a ListEntry> {
    let own = list.iter().filter(|listed| listed.list.is_none()).map(|listed| &listed.image);
    own.filter(|image| pattern.fits(&image.url)).max_by_key(|image| &image.release_date)
}

/// A name that can be typed: `Ubuntu Server 24.04.3 LTS (64-bit)` is `ubuntu-server-24.04.3-lts-64-bit`.
pub(super) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for letter in name.to_lowercase().chars() {
        match letter {
            'a'..='z' | '0'..='9' => slug.push(letter),
            '.' if slug.ends_with(|last: char| last.is_ascii_digit()) => slug.push('.'),
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    slug.trim_end_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"imager": {"devices": []}, "os_list": [
        {"name": "Raspberry Pi OS (other)", "description": "d", "icon": "i", "subitems": [
            {"name": "Lite (64-bit)", "url": "https://h/raspios_lite_arm64/a.img.xz", "extract_size": 7,
             "extract_sha256": "ab", "image_download_size": 3, "release_date": "2025-12-04",
             "devices": ["pi5-64bit"], "init_format": "cloudinit-rpi", "brand_new": {"x": 1}},
            {"name": "Older (64-bit)", "url": "https://h/raspios_lite_arm64/b.img.xz", "release_date": "2025-01-01"}]},
        {"name": "Others", "subitems_url": "https://h/others.json"},
        {"name": "Erase", "url": "internal://format"},
        {"name": 3, "url": "https://h/not-understood"},
        {"name": "Legacy", "url": "https://h/c.img.xz", "devices": ["pi3-32bit"]}]}"#;

    fn own(image: ListEntry) -> Listed {
        Listed { image, list: None }
    }

    #[test]
    fn lists_are_flattened() {
        let parsed = parse(LIST.as_bytes()).unwrap();
        let names: Vec<&str> = parsed.images.iter().map(|image| image.name.as_str()).collect();
        assert_eq!(names, ["Lite (64-bit)", "Older (64-bit)", "Legacy"]);
        assert_eq!(parsed.lists, ["https://h/others.json"]);
        let mut images: Vec<Listed> = parsed.images.iter().cloned().map(own).collect();
        let pattern: AddressPattern = "https://h/raspios_lite_arm64/*.img.xz".parse().unwrap();
        assert_eq!(newest(&images, &pattern).unwrap().extract_size, Some(7));
        let newer =
            ListEntry { release_date: Some("2099-01-01".into()), ..parsed.images[1].clone() };
        images.push(Listed { image: newer, list: Some("https://h/others.json".into()) });
        assert_eq!(newest(&images, &pattern).unwrap().extract_size, Some(7), "not of their list");
        assert!(parsed.images[2].only_32_bit() && !parsed.images[0].only_32_bit());
        for bad in ["", "<html>", "{}", "{\"os_list\": 3}"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_can_be_typed() {
        assert_eq!(slug("Ubuntu Server 24.04.3 LTS (64-bit)"), "ubuntu-server-24.04.3-lts-64-bit");
        assert_eq!(slug("  ~ RetroPie!  v4. "), "retropie-v4");
        assert_eq!(slug("日本"), "");
    }
}
