//! `list`, `show`, `explore` and `rm`.

use indicatif::{HumanBytes, HumanCount};
use serde_json::json;
use tintype_model::{ImageId, Title};

use crate::api::{self, Image, Paged, Photo};
use crate::args::{self, Pages};
use crate::client::Client;
use crate::config::ConfigDir;
use crate::error::{Error, Result, exit};
use crate::jobs;
use crate::journal;
use crate::output::{Output, complain, escape_control, line, question};

/// The largest page of the service.
const PAGE: u64 = 100;

/// Calls `give` with each item of a list. Returns true if the list has more.
pub(crate) async fn each<P: Paged>(
    pages: &Pages,
    ask: impl AsyncFn(Option<String>, Option<u64>) -> Result<P>,
    mut give: impl FnMut(P::Item),
) -> Result<bool> {
    let mut left = if pages.all { u64::MAX } else { pages.limit };
    let mut cursor = None;
    while left > 0 {
        let (items, next) = ask(cursor, Some(left.min(PAGE))).await?.split();
        left = left.saturating_sub(items.len() as u64);
        items.into_iter().for_each(&mut give);
        match next {
            None => return Ok(false),
            some => cursor = some,
        }
    }
    Ok(true)
}

pub(crate) async fn list(client: &Client, out: Output, arguments: &args::List) -> Result<()> {
    let status = arguments.status.map(|status| format!("{status:?}").to_lowercase());
    let visibility = arguments.visibility.map(|it| format!("{it:?}").to_lowercase());
    let ask = async |cursor, limit| {
        let query = api::ListImages {
            cursor,
            limit,
            status: status.clone(),
            visibility: visibility.clone(),
            title_prefix: arguments.prefix.clone(),
        };
        client.request(api::LIST_IMAGES).query(&query).send().await
    };
    if each(&arguments.pages, ask, |image| put(out, &image, false)).await? && !out.json {
        out.note("There are more: use --all, or a larger --limit.");
    }
    Ok(())
}

pub(crate) async fn explore(client: &Client, out: Output, pages: &Pages) -> Result<()> {
    let ask = async |cursor, limit| client.request(api::EXPLORE).query(&api::Explore { cursor, limit }).send().await;
    if each(pages, ask, |image| put(out, &image, true)).await? && !out.json {
        out.note("There are more: use --all, or a larger --limit.");
    }
    Ok(())
}

fn put(out: Output, image: &Image, owner: bool) {
    out.print_result(image, || {
        let mut notes = Vec::new();
        if owner {
            notes.push(format!("by {}", escape_control(&image.owner.name)));
        } else if image.visibility == "private" {
            notes.push("private".to_owned());
        }
        if image.status != "ready" {
            notes.push(image.status.clone());
        }
        if let Some(reason) = &image.reject_reason {
            notes.push(escape_control(reason));
        }
        notes.extend(image.warnings.iter().flatten().map(|warning| escape_control(warning)));
        let notes = if notes.is_empty() { String::new() } else { format!("  ({})", notes.join(", ")) };
        format!("{}  {:>10}  {}{notes}", image.id, HumanBytes(image.size).to_string(), escape_control(&image.title))
    });
}

/// Returns the image with this id or title.
pub(crate) async fn find(client: &Client, name: &str) -> Result<Image> {
    if name.parse::<ImageId>().is_ok() {
        return client.request(api::GET_IMAGE).path_param(name).send().await.map_err(|error| missing(error, name));
    }
    let title = Title::parse(name)
        .map_err(|error| Error::Usage(format!("{name:?} is neither an id nor a valid title: it {error}.")))?;
    let mut found: Option<Image> = None;
    let ask = async |cursor, limit| {
        let query =
            api::ListImages { cursor, limit, title_prefix: Some(title.as_str().to_owned()), ..Default::default() };
        client.request(api::LIST_IMAGES).query(&query).send().await
    };
    let mut cursor = None;
    loop {
        let (images, next) = ask(cursor, Some(PAGE)).await?.split();
        for image in images.into_iter().filter(|image| image.title == title.as_str()) {
            // A rejected image does not hold its title: another image may have it.
            if image.status != "rejected" {
                return Ok(image);
            }
            found.get_or_insert(image);
        }
        match next {
            None => {
                let hyphen = if name.starts_with('-') { " It is not an option of this command either." } else { "" };
                let none = || Error::Other(format!("You have no image with the id or title {name:?}.{hyphen}"));
                return found.ok_or_else(none);
            }
            some => cursor = some,
        }
    }
}

pub(crate) fn missing(error: Error, name: &str) -> Error {
    if error.refused_with("not_found") {
        Error::Other(format!("There is no image {name}, or it is not yours to see."))
    } else {
        error
    }
}

pub(crate) async fn show(client: &Client, out: Output, name: &str) -> Result<()> {
    let mut image = find(client, name).await?;
    if image.id != name {
        // Lists leave out how an image was taken.
        image = client.request(api::GET_IMAGE).path_param(&image.id).send().await?;
    }
    out.print_result(&image, || {
        let mut rows: Vec<(&str, String)> = vec![
            ("Id", image.id.clone()),
            ("Title", escape_control(&image.title)),
            ("Owner", escape_control(&image.owner.name)),
            ("Status", image.status.clone()),
        ];
        let mut more = |name, value: Option<String>| rows.extend(value.map(|value| (name, value)));
        more("Reason", image.reject_reason.as_deref().map(escape_control));
        more("Code", image.reject_code.as_deref().map(escape_control));
        let warnings = image.warnings.as_deref().unwrap_or_default();
        more("Warnings", Some(escape_control(&warnings.join(", "))).filter(|text| !text.is_empty()));
        more("Description", Some(escape_control(&image.description)).filter(|text| !text.is_empty()));
        more("Visibility", Some(image.visibility.clone()));
        more("Type", Some(image.content_type.clone()));
        more("Size", Some(format!("{} ({} bytes)", HumanBytes(image.size), HumanCount(image.size))));
        more("Pixels", image.width.zip(image.height).map(|(width, height)| format!("{width} × {height}")));
        if let Some(photo) = &image.photo {
            more("Taken", photo.taken_at.as_deref().map(escape_control));
            more("Camera", camera(photo).as_deref().map(escape_control));
            more("Lens", photo.lens.as_deref().map(escape_control));
            more("Exposure", exposure(photo));
            more("Place", photo.place.as_ref().map(|place| format!("{}, {}", place.latitude, place.longitude)));
            if image.photo_public {
                more("Shown", Some("to all who see the image, without the place".to_owned()));
            }
        }
        more("SHA-256", image.sha256.clone());
        more("Created", Some(image.created_at.clone()));
        more("Changed", Some(image.updated_at.clone()));
        more("Original", image.image_url.clone());
        for thumbnail in &image.thumbnails {
            more("Thumbnail", Some(format!("{} × {}  {}", thumbnail.width, thumbnail.height, thumbnail.url)));
        }
        more("URLs until", image.url_expires_at.clone());
        rows.iter().map(|(name, value)| format!("{name:<12} {value}")).collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

/// The manufacturer and the model, which often begins with the manufacturer's name.
fn camera(photo: &Photo) -> Option<String> {
    let (Some(make), Some(model)) = (&photo.make, &photo.model) else {
        return photo.make.clone().or_else(|| photo.model.clone());
    };
    let name = make.split(' ').next().unwrap_or_default();
    let is_named = model.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    Some(if is_named { model.clone() } else { format!("{make} {model}") })
}

/// As photographers write it: `1/250 s  f/2.8  ISO 400  23 mm`.
fn exposure(photo: &Photo) -> Option<String> {
    let time = photo.exposure_time.map(|seconds| match seconds {
        short if short < 0.3 => format!("1/{:.0} s", 1.0 / short),
        long => format!("{long} s"),
    });
    let parts = [
        time,
        photo.f_number.map(|number| format!("f/{number}")),
        photo.iso.map(|iso| format!("ISO {iso}")),
        photo.focal_length.map(|length| format!("{length} mm")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    Some(parts.join("  ")).filter(|text| !text.is_empty())
}

/// Deletes images and returns the exit status.
pub(crate) async fn rm(client: &Client, folder: &ConfigDir, out: Output, arguments: args::Rm) -> Result<u8> {
    let me = client.request(api::GET_ME).send().await?;
    if arguments.all {
        return rm_all(client, folder, out, &me, arguments.yes).await;
    }
    // A mistyped option must not be taken for a title while the other images are deleted.
    for name in arguments.images.iter().filter(|name| name.starts_with('-')) {
        find(client, name).await.map_err(|error| match error {
            Error::Other(text) | Error::Usage(text) => Error::Usage(format!("{text} Nothing was deleted.")),
            error => error,
        })?;
    }
    let mut failed = 0_usize;
    for names in arguments.images.chunks(1000) {
        let mut ids = Vec::with_capacity(names.len());
        for name in names {
            match name.parse::<ImageId>() {
                Ok(_) => ids.push((name.clone(), name)),
                Err(_) => match find(client, name).await {
                    Ok(image) => ids.push((image.id, name)),
                    Err(error @ (Error::Other(_) | Error::Usage(_))) => {
                        failed += 1;
                        print_deletion(out, name, Err(error.to_string()));
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        if ids.is_empty() {
            continue;
        }
        let given: Vec<String> = ids.iter().map(|(id, _)| id.clone()).collect();
        // Before the request, whose answer may be lost. `upload` finds those that were not deleted by their titles.
        journal::gone(folder, &client.url, &me.id, &given)?;
        let body = api::DeleteImages { all: None, ids: Some(given) };
        let answer = client.request(api::DELETE_IMAGES).json(&body).idempotent().send().await?;
        for (result, (_, name)) in answer.results.iter().zip(&ids) {
            match &result.error {
                None => print_deletion(out, name, Ok(&result.id)),
                Some(problem) => {
                    failed += 1;
                    let why = if problem.code == "not_found" { "you have no such image" } else { &problem.detail };
                    print_deletion(out, name, Err(why.to_owned()));
                }
            }
        }
    }
    Ok(if failed == 0 { exit::DONE } else { exit::SOME_FAILED })
}

fn print_deletion(out: Output, name: &str, result: std::result::Result<&str, String>) {
    match result {
        Ok(id) => out.print_result(&json!({"image": name, "id": id, "deleted": true}), || {
            if out.quiet { String::new() } else { format!("Deleted {}", escape_control(name)) }
        }),
        Err(why) if out.json => line(&json!({"image": name, "deleted": false, "error": why}).to_string()),
        Err(why) => complain(&format!("tintype: {}: {}", escape_control(name), escape_control(&why))),
    }
}

async fn rm_all(client: &Client, folder: &ConfigDir, out: Output, me: &api::Me, yes: bool) -> Result<u8> {
    if !yes {
        let prompt = format!(
            "This deletes all images of {} at {} for good ({} are ready). Type \"yes\" to go on: ",
            me.email,
            client.url,
            HumanCount(me.usage.images)
        );
        if question(&prompt, "use --yes")? != "yes" {
            return Err(Error::Usage("Nothing was deleted.".into()));
        }
    }
    // Before the request, whose answer may be lost.
    journal::forget(folder, &client.url, &me.id);
    let body = api::DeleteImages { all: Some(true), ids: None };
    let accepted = client.request(api::DELETE_IMAGES_202).json(&body).idempotent().send().await?;
    let job = jobs::wait(client, out, accepted.job).await?;
    out.print_result(&job, || format!("Deleted {} images.", HumanCount(job.done)));
    Ok(exit::DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_named_once() {
        let named = |make: &str, model: &str| {
            let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            camera(&Photo { make: text(make), model: text(model), ..Photo::default() }).unwrap_or_default()
        };
        for (make, model, expected) in [
            ("Canon", "Canon EOS R5", "Canon EOS R5"),
            ("NIKON CORPORATION", "NIKON Z 6", "NIKON Z 6"),
            ("SONY", "ILCE-7M3", "SONY ILCE-7M3"),
            ("Apple", "", "Apple"),
            ("", "iPhone 15", "iPhone 15"),
            ("Möbius", "M", "Möbius M"),
            ("Leica", "Öö", "Leica Öö"),
            ("", "", ""),
        ] {
            assert_eq!(named(make, model), expected);
        }
    }

    #[test]
    fn an_exposure_is_written_as_photographers_do() {
        let photo = |exposure_time, f_number, iso, focal_length| Photo {
            exposure_time,
            f_number,
            iso,
            focal_length,
            ..Photo::default()
        };
        let whole = photo(Some(0.004), Some(2.8), Some(400), Some(23.0));
        assert_eq!(exposure(&whole).as_deref(), Some("1/250 s  f/2.8  ISO 400  23 mm"));
        assert_eq!(exposure(&photo(Some(2.5), None, None, None)).as_deref(), Some("2.5 s"));
        assert_eq!(exposure(&photo(None, None, None, None)), None);
    }
}
