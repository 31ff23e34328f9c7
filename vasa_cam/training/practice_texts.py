"""Sentences for synthetic voices: written for this project, to hold every sound often enough."""

from __future__ import annotations

from typing import Final

import numpy as np

ENGLISH: Final = (
    "Maybe my mum and papa built a big blue boat, but Bob put the map above the lamp.",
    "Very few five-foot waves ever leave the valley before half past five.",
    "We would choose a room with a view of the moon, you know, over the low road.",
    "Please keep these three green sheets and read each piece in peace.",
    "How now, our brown house stood out loud on the south ground.",
    "Stop. Wait a moment! No, really? Yes, of course, why not.",
    "The boy enjoyed the noisy toy, and pointed at the oil in the soil.",
    "She should wash each fresh fish at the shallow shore, and judge the large orange.",
    "Father Arthur parked his car far from the calm palm garden.",
    "One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve.",
    "Hello everybody, welcome to the meeting. Can you hear me? I think we can begin.",
    "Thank you very much for coming; I will be brief, and then we can open the floor.",
    "The usual pleasure of leisure is a treasure beyond measure, with a beige garage.",
    "A loyal employee avoids noisy choices and enjoys a moist oyster.",
    "Whoever owns the yellow window knows how slowly the snow goes.",
    "Put the good book on the wooden hook and look at the full cushion.",
    "Thirty-three thirsty birds heard the first words of the early nurse.",
    "Could we move the review to two? I'd rather not lose the afternoon.",
    "Bump the pump, then clamp the lamp; the camp is damp.",
    "Why would a white whale wander westward while we watch?",
    "These things are worth the breath, though both brothers loathe the path.",
    "My favourite movie is about a family of very brave beavers.",
    "Of all the fabulous fruits, I prefer fresh figs and five ripe olives.",
    "Happy people in Paris keep apples in paper bags.",
    "Big pigs dig in the mud, but cubs hug the tub.",
    "Zoom in on the zebra; his eyes are as big as plums.",
    "Yes, sure. Um, I mean, maybe? Let me think about it for a bit.",
    "No problem at all. Oh, wow, that's amazing!",
    "Mm-hm. Right. Okay, so what happens next?",
    "Good morning! It's lovely to meet you all.",
    "Sorry, you were on mute. Would you mind repeating that?",
    "We moved the office to a warm room above a bakery.",
    "The pilot whispered, and the whole cabin became perfectly quiet.",
    "Oh no! Who threw the blue shoe through the roof?",
    "Shall we share the screen, or should I show the charts first?",
    "George, the judge, imagined a gorgeous village on the edge of a bridge.",
    "A cheap watch and a rich peach: which would you choose?",
    "Sing a long song along the young spring.",
    "Ask the guests whether the desks and masks cost less.",
    "Every evening, seven elephants visit the river to have a bath.",
    "Pour me a pot of warm broth, or four more if you are bored.",
    "Cool blue pools soothe the mood in June.",
    "Grab a cab from the club to the pub, Rob.",
    "I hope the rope on the boat won't blow over.",
    "It isn't far, is it? The garden path starts by the barn.",
    "Well, I never! You must be joking.",
    "He hurried home behind a huge horse.",
    "Queens require quick quotes and quiet squares.",
    "Ahead of us, a bear and a pair of hares stared there.",
    "Here we hear deer near the pier each year.",
    "The tourist was sure that the poor lure would cure them.",
    "Fire, tower, flower, player, lower: our hour is over.",
    "Let's wrap up. Any questions before we move on?",
    "I can't believe it; that was the funniest thing ever.",
    "What a beautiful view! Look at the mountains, the bay and the woods.",
    "Push the pulley, bully the butcher, and fill the bushel.",
    "Mom might make me move my mattress tomorrow morning.",
    "Vivid violet velvet covers every valve of the van.",
    "Wow, how loud! Cows and owls around the town.",
    "Ready? Steady. Go!",
)

_SUBJECTS: Final = ("My boss", "The baby", "A brave woman", "Our mayor", "Everybody", "Philip",
                    "That boy", "The whole village", "Aunt Mabel", "A famous chef", "Nobody",
                    "The white wolf", "Some people", "The shy girl", "Uncle Joe", "Your neighbour",
                    "A weary farmer", "The judge", "Beth", "The young choir")  # fmt: skip
_VERBS: Final = ("bumped into", "may have moved", "would love", "prefers", "wrapped up", "bought",
                 "forgot about", "should wash", "overlooked", "never mentioned", "smoothed",
                 "happily measured", "pulled", "threw away", "enjoys", "can see", "owned",
                 "whispered to", "just chose", "put down")  # fmt: skip
_OBJECTS: Final = ("a bamboo flute", "the beige map", "five warm muffins", "a pair of boots",
                   "my umbrella", "the purple vase", "a wheel of cheese", "the moonlit river",
                   "both of them", "a huge oyster", "the whole story", "some rope",
                   "a thick leather book", "the bathroom floor", "several awful films",
                   "a cup of mint tea", "the church choir", "a bubble", "four wooden spoons",
                   "the old bridge")  # fmt: skip
_ENDS: Final = ("before breakfast", "in the evening", "above the shop", "with a smile",
                "by the bay", "of course", "wherever we go", "on Thursday", "for a while",
                "at half past two", "near the pool", "without much hope", "in February",
                "I suppose", "you know", "under the bush", "as usual", "beyond the farm",
                "with joy",
                "again and again")  # fmt: skip
_ONSETS: Final = ("b", "p", "m", "f", "v", "w", "th", "s", "z", "sh", "ch", "j", "l", "r", "n", "d",
                  "t", "k", "g", "h", "y", "bl", "pr", "fr", "sm", "sp", "sw", "br", "pl", "fl",
                  )  # fmt: skip
_NUCLEI: Final = ("a", "e", "i", "o", "u", "ee", "oo", "oa", "ai", "ow", "oy", "ar", "or", "er")
_CODAS: Final = ("", "", "b", "p", "m", "f", "v", "n", "t", "s", "sh", "l", "mp", "ft", "k", "ng")

OTHER: Final[dict[str, tuple[str, ...]]] = {
    "de": (
        "Guten Morgen, schön, dass Sie alle da sind. Können Sie mich gut hören?",
        "Über fünf grüne Bücher freuen sich müde Schüler und höfliche Brüder.",
        "Der Apfelbaum im Pfarrgarten trägt viele rote Äpfel.",
        "Meine Mutter macht am Montagmorgen warme Brombeermarmelade.",
        "Ich möchte noch ein Stück Kuchen und ein Glas Wasser, bitte.",
        "Wo wohnen wir, wenn die Wohnung zu klein wird?",
        "Zwölf Boxkämpfer jagen einen Mann quer über den großen Platz.",
        "Heute scheint die Sonne, aber morgen soll es wieder regnen.",
        "Das Pferd läuft schnell durch den tiefen Schnee nach Hause.",
        "Ach so! Ja, natürlich, das machen wir gleich.",
        "Bitte öffnen Sie das Fenster, es ist furchtbar heiß hier.",
        "Euer Freund träumt von neuen Häusern und teuren Bäumen.",
    ),
    "fr": (
        "Bonjour à tous, merci d'être venus si nombreux ce matin.",
        "Un bon vin blanc sur une table ronde, un peu de pain et du beurre.",
        "La lune luit sur la rue, et huit nuages fuient dans la nuit.",
        "Ma sœur veut deux œufs, mon neveu préfère une pomme.",
        "Où avez-vous mis mon parapluie bleu? Je ne le trouve plus.",
        "Pouvez-vous parler un peu plus fort, s'il vous plaît?",
        "Il faut beaucoup de patience pour apprendre à bien chanter.",
        "Le petit garçon joue avec un ballon rouge au bord du fleuve.",
        "Bien sûr, on peut commencer tout de suite, pourquoi pas?",
        "Chaque jeudi, je mange une soupe chaude chez mon vieux voisin.",
        "Quel beau voyage! La montagne, la mer, et puis la famille.",
        "Vous êtes au bout du chemin, près du moulin vert.",
    ),
    "es": (
        "Buenos días a todos, gracias por venir a la reunión.",
        "Mi abuela prepara una sopa muy buena con pimientos y tomates.",
        "El perro de Pablo corre por la playa y bebe agua fría.",
        "Quiero un vaso de vino blanco y un bocadillo de jamón.",
        "Cuando llueve, la gente joven baila bajo los paraguas verdes.",
        "La vaca vieja vive en un valle muy verde.",
        "¿Puedes repetir la pregunta, por favor? No te he oído bien.",
        "Mañana por la mañana vamos a la montaña con mi familia.",
        "Un guapo bombero subió al balcón y abrió la puerta.",
        "¡Qué bonito! Nunca he visto una cosa igual.",
        "El jueves pasado compré ocho libros y una lámpara.",
        "Bueno, vamos a empezar; ya son las nueve y media.",
    ),
    "it": (
        "Buongiorno a tutti, possiamo cominciare la riunione?",
        "La mamma prepara una pappa buona per il bambino piccolo.",
        "Vorrei un bicchiere d'acqua e un piatto di gnocchi, per favore.",
        "Il gatto nero dorme sopra il tappeto vicino alla porta.",
        "Domani mattina andiamo al mare con gli zii e le cugine.",
        "Che bella giornata! Il cielo è azzurro e fa molto caldo.",
        "Mi piace ascoltare la musica mentre lavoro in ufficio.",
        "Il vecchio pescatore aveva una barca bianca e blu.",
        "Scusa, puoi ripetere? Non ho capito bene la domanda.",
        "Giovedì compriamo pane, burro, formaggio e uova fresche.",
        "Quando piove, preferisco rimanere a casa e leggere un libro.",
        "Va bene, allora ci vediamo dopo pranzo.",
    ),
    "pt": (
        "Bom dia a todos, muito obrigado por terem vindo.",
        "A minha mãe põe o pão e a maçã em cima da mesa.",
        "O João não quer jogar à bola, prefere ver um filme.",
        "Amanhã de manhã vamos à praia com os nossos irmãos.",
        "Pode falar um pouco mais alto, por favor?",
        "O velho pescador vive numa casa branca perto do rio.",
        "Que bom! Há muito tempo que não ouvia essa música.",
        "Comprei um livro novo e uma lâmpada para o quarto.",
        "Chove bastante, mas as crianças brincam na rua.",
        "Vamos começar a reunião; já passa das nove horas.",
    ),
    "nl": (
        "Goedemorgen allemaal, fijn dat jullie er zijn.",
        "De muis loopt door de tuin van mijn buurman naar het huis.",
        "Mijn moeder bakt op woensdag een grote appeltaart.",
        "Kunt u dat nog een keer zeggen, alstublieft?",
        "Vijf blauwe vogels vliegen boven het water.",
        "Het schip voer langzaam over de brede rivier.",
        "Ik wil graag een kopje koffie en een broodje met kaas.",
        "Wat een mooie dag! De zon schijnt en de lucht is blauw.",
        "De burgemeester opende gisteren de nieuwe brug.",
        "Goed, dan beginnen we met het eerste punt.",
    ),
    "pl": (
        "Dzień dobry państwu, bardzo dziękuję za przybycie.",
        "Moja mama piecze pyszne ciasto z jabłkami i śliwkami.",
        "Pies biega po ogrodzie, a kot śpi na ciepłym piecu.",
        "Czy możesz powtórzyć pytanie? Nie usłyszałem dobrze.",
        "W Szczebrzeszynie chrząszcz brzmi w trzcinie.",
        "Jutro pojedziemy nad morze z całą rodziną.",
        "Babcia kupiła pięć bułek, masło i butelkę mleka.",
        "Co za piękny widok! Góry, las i błękitne niebo.",
        "Wczoraj padał deszcz, ale dzisiaj świeci słońce.",
        "Dobrze, zaczynajmy od pierwszego punktu.",
    ),
    "sv": (
        "God morgon allihopa, vad roligt att ni kunde komma.",
        "Min mormor bakar bullar varje lördag före middagen.",
        "Sju sjuka sjömän sköttes av en skön sköterska.",
        "Kan du säga det en gång till, är du snäll?",
        "Pojken sprang över bron med en blå boll i handen.",
        "Det blåser mycket, men vi promenerar ändå vid vattnet.",
        "Jag vill gärna ha en kopp te och en smörgås med ost.",
        "Vilken vacker utsikt! Berg, skog och en djup sjö.",
        "Hunden sover under bordet medan vi äter frukost.",
        "Bra, då börjar vi med den första frågan.",
    ),
    "ru": (
        "Доброе утро, большое спасибо, что вы пришли.",
        "Моя бабушка варит вкусный борщ и печёт пироги.",
        "Мама мыла раму, а папа пил чай с мёдом.",
        "Повторите, пожалуйста, я вас плохо слышу.",
        "Пять белых птиц летят над широкой рекой.",
        "Завтра мы поедем в деревню к нашим друзьям.",
        "Какой красивый вид! Горы, лес и синее море.",
        "Женщина купила хлеб, масло и бутылку молока.",
        "Вчера шёл дождь, но сегодня светит солнце.",
        "Хорошо, давайте начнём с первого вопроса.",
    ),
    "cmn-latn-pinyin": (
        "ni3 hao3, hen3 gao1 xing4 ren4 shi5 ni3.",
        "jin1 tian1 tian1 qi4 hen3 hao3, wo3 men5 qu4 gong1 yuan2 ba5.",
        "ma1 ma5 mai3 le5 ping2 guo3, pu2 tao5 he2 mian4 bao1.",
        "qing3 ni3 zai4 shuo1 yi1 bian4, wo3 mei2 ting1 qing1 chu5.",
        "xiao3 gou3 zai4 fang2 jian1 li3 pao3 lai2 pao3 qu4.",
        "ba4 ba5 xi3 huan5 he1 lv4 cha2, bu4 xi3 huan5 he1 ka1 fei1.",
        "wo3 xiang3 mai3 yi1 ben3 shu1, duo1 shao5 qian2?",
        "xue2 sheng5 men5 dou1 zai4 jiao4 shi4 li3 kan4 shu1.",
        "yu3 xia4 de5 hen3 da4, wo3 mei2 you3 dai4 yu3 san3.",
        "hao3 de5, xian4 zai4 kai1 shi3 ba5.",
        "peng2 you5 ming2 tian1 zuo4 fei1 ji1 qu4 bei3 jing1.",
        "zhe4 shi4 shei2 de5 bao1? shi4 ni3 de5 ma5?",
    ),
    "ja": (
        "おはようございます。きょうはよろしくおねがいします。",
        "ははは まいあさ あたらしい ぱんを やいています。",
        "すみません、もういちど いってください。",
        "ふねは ゆっくり かわを くだりました。",
        "ともだちと うみへ いって、ふゆの ゆうひを みました。",
        "びじゅつかんの まえで ばすを まっています。",
        "ぶどうと ももと みかんを ください。",
        "わたしは ちいさい へやで ほんを よむのが すきです。",
        "きょうの てんきは とても いいですね。",
        "では、はじめましょう。",
    ),
    "tr": (
        "Günaydın, hepiniz hoş geldiniz, çok teşekkür ederim.",
        "Annem her pazar büyük bir börek pişirir.",
        "Köpek bahçede koşuyor, kedi ise pencerede uyuyor.",
        "Lütfen bir daha söyler misiniz, iyi duyamadım.",
        "Yarın sabah arkadaşlarımla vapura bineceğiz.",
        "Ne güzel bir gün! Güneş parlıyor, gökyüzü masmavi.",
        "Bir bardak su ve bir tabak pilav istiyorum.",
        "Küçük çocuk üzüm yerken güldü.",
        "Mavi balonlar bulutlara doğru uçtu.",
        "Peki, o zaman ilk konuyla başlayalım.",
    ),
    "ar": (
        "صَبَاحُ الخَيْرِ، شُكْرًا لَكُمْ عَلَى الحُضُورِ.",
        "أُمِّي تَطْبُخُ طَعَامًا لَذِيذًا فِي المَطْبَخِ.",
        "الوَلَدُ يَلْعَبُ بِالكُرَةِ أَمَامَ البَيْتِ.",
        "مِنْ فَضْلِكَ، هَلْ يُمْكِنُكَ أَنْ تُعِيدَ السُّؤَالَ؟",
        "سَنُسَافِرُ غَدًا إِلَى البَحْرِ مَعَ العَائِلَةِ.",
        "هَذَا كِتَابٌ جَمِيلٌ وَمُفِيدٌ جِدًّا.",
        "الشَّمْسُ مُشْرِقَةٌ وَالسَّمَاءُ زَرْقَاءُ.",
        "نَعَمْ، طَبْعًا، يُمْكِنُنَا أَنْ نَبْدَأَ الآنَ.",
    ),
    "hi": (
        "नमस्ते, आप सब का बहुत बहुत धन्यवाद।",
        "मेरी माँ हर सुबह गरम रोटी बनाती है।",
        "बच्चा बगीचे में गेंद से खेल रहा है।",
        "कृपया फिर से बोलिए, मुझे सुनाई नहीं दिया।",
        "कल हम अपने परिवार के साथ समुद्र देखने जाएँगे।",
        "आज मौसम बहुत अच्छा है, आसमान नीला है।",
        "मुझे एक गिलास पानी और दो फल चाहिए।",
        "ठीक है, तो अब हम शुरू करते हैं।",
        "वह बाज़ार से आम, पपीता और फूल लाया।",
        "भाई ने पुराने पुल के पास एक बड़ी मछली देखी।",
    ),
    "ko": (
        "안녕하세요, 만나서 반갑습니다.",
        "어머니는 매일 아침 밥을 하십니다.",
        "미안하지만 다시 한 번 말씀해 주세요.",
        "오늘은 날씨가 정말 좋네요.",
        "우리 가족은 내일 바다에 갈 거예요.",
        "파란 풍선이 하늘 위로 올라갔어요.",
        "물 한 잔하고 빵 두 개 주세요.",
        "네, 그럼 지금 시작합시다.",
    ),
    "fi": (
        "Hyvää huomenta kaikille, kiitos kun tulitte.",
        "Äiti leipoo pullaa ja keittää kahvia.",
        "Pieni poika juoksi yli punaisen sillan.",
        "Voisitko toistaa kysymyksen, en kuullut kunnolla.",
        "Huomenna menemme koko perheen kanssa mökille.",
        "Yöllä tuuli puhalsi, mutta päivällä paistoi aurinko.",
        "Saisinko lasin vettä ja voileivän?",
        "Hyvä, aloitetaan sitten ensimmäisestä asiasta.",
    ),
}  # fmt: skip
"""espeak-ng language -> sentences."""

COUNTED: Final = ("da", "nb", "cs", "hu", "ro", "uk", "el", "vi", "id", "sw", "ca", "hr", "bg",
                  "et", "ta", "fa", "is", "bn", "pt-br", "es-419", "fr-ch", "cy", "eo",
                  "ka")  # fmt: skip
"""Languages that are heard counting only: espeak-ng itself spells the numbers."""


def english_text(rng: np.random.Generator, transcripts: tuple[str, ...]) -> str:
    """One random text: a sentence of ours or of the transcripts, a made-up one, a spelling."""
    kind = rng.random()
    if kind < 0.3:
        return str(rng.choice(ENGLISH))
    if kind < 0.55 and transcripts:
        return str(rng.choice(transcripts))
    if kind < 0.8:
        parts = [str(rng.choice(words)) for words in (_SUBJECTS, _VERBS, _OBJECTS, _ENDS)]
        joint = ", " if rng.random() < 0.4 else " "
        return " ".join(parts[:3]) + joint + parts[3] + str(rng.choice([".", "?", "!"]))
    if kind < 0.9:
        words = [_made_up_word(rng) for _ in range(int(rng.integers(5, 11)))]
        return " ".join(words) + "."
    if kind < 0.95:
        letters = rng.choice(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), int(rng.integers(4, 9)))
        return "I spell it for you: " + ", ".join(letters) + "."
    return counting_text(rng)


def _made_up_word(rng: np.random.Generator) -> str:
    syllables = int(rng.integers(1, 4))
    return "".join(
        str(rng.choice(_ONSETS)) + str(rng.choice(_NUCLEI)) + str(rng.choice(_CODAS))
        for _ in range(syllables)
    )


def counting_text(rng: np.random.Generator) -> str:
    """Numbers and a time of day in digits, which every language reads in its own words."""
    numbers = [int(10.0 ** rng.uniform(0.0, 4.0)) for _ in range(int(rng.integers(4, 9)))]
    return ", ".join(map(str, numbers)) + "."


def other_text(rng: np.random.Generator, language: str) -> str:
    """One random text in a language of OTHER or COUNTED."""
    sentences = OTHER.get(language, ())
    if not sentences or rng.random() < 0.15:
        return counting_text(rng)
    return str(rng.choice(sentences))
