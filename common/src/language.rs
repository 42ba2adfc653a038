//! Language tags: what containers say (ISO 639-2) as BCP 47 wants it (RFC 5646, section 2.2.1: the shortest code).

/// Codes of ISO 639-2 (terminological and bibliographic) that have one of two letters, each followed by it.
const SHORTER: &str = "\
aaraa abkab afraf akaak albsq amham araar argan armhy asmas avaav aveae aymay azeaz bakba bambm baqeu belbe benbn \
bisbi bodbo bosbs brebr bulbg burmy catca cescs chach chece chizh chucu chvcv corkw cosco crecr cymcy czecs danda \
deude divdv dutnl dzodz ellel engen epoeo estet euseu eweee faofo fasfa fijfj finfi frafr frefr fryfy fulff geoka \
gerde glagd glega glggl glvgv greel grngn gujgu hatht hauha hbssh hebhe herhz hinhi hmoho hrvhr hunhu hyehy iboig \
iceis idoio iiiii ikuiu ileie inaia indid ipkik islis itait javjv jpnja kalkl kankn kasks katka kaukr kazkk khmkm \
kikki kinrw kirky komkv konkg korko kuakj kurku laolo latla lavlv limli linln litlt ltzlb lublu luglg macmk mahmh \
malml maomi marmr mayms mkdmk mlgmg mltmt monmn mrimi msams myamy nauna navnv nblnr ndend ndong nepne nldnl nnonn \
nobnb norno nyany ocioc ojioj orior ormom ossos panpa perfa plipi polpl porpt pusps quequ rohrm ronro rumro runrn \
rusru sagsg sansa sinsi slksk slosk slvsl smese smosm snasn sndsd somso sotst spaes sqisq srdsc srpsr sswss sunsu \
swasw swesv tahty tamta tattt telte tgktg tgltl thath tibbo tirti tonto tsntn tsots tuktk turtr twitw uigug ukruk \
urdur uzbuz venve vievi volvo welcy wlnwa wolwo xhoxh yidyi yoryo zhaza zhozh zulzu";

/// Whether a text has the form of a tag of a language that somebody names, such as `en`, `deu` or `pt-BR`.
pub fn is_language_tag(text: &str) -> bool {
    text.len() >= 2 && is_well_formed(text)
}

fn is_well_formed(text: &str) -> bool {
    let subtag =
        |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 35 && text.split('-').all(subtag)
}

/// The BCP 47 tag of a language; `None` where it is undetermined or no tag at all.
pub fn language_tag(language: &str) -> Option<String> {
    let (primary, rest) = language.split_at(language.find('-').unwrap_or(language.len()));
    let primary = primary.to_ascii_lowercase();
    if !is_well_formed(language) || primary == "und" {
        return None;
    }
    let shorter = SHORTER.split(' ').find_map(|pair| pair.strip_prefix(primary.as_str()));
    Some(format!("{}{rest}", shorter.filter(|code| code.len() == 2).unwrap_or(&primary)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_get_their_shortest_tag() {
        let tags = ["eng", "ger", "deu", "en", "pt-BR", "por-BR", "gsw", "fil", "zul"].map(language_tag);
        let expected = ["en", "de", "de", "en", "pt-BR", "pt-BR", "gsw", "fil", "zu"];
        assert_eq!(tags, expected.map(|tag| Some(tag.to_owned())));
        assert_eq!(["", "und", "a b", "en\"", "-", "klingonese"].map(language_tag), [const { None }; 6]);
    }
}
