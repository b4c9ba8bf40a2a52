"""Writes golden.json: scores by the peers, of sentences made up for this.

pip install sacrebleu==2.6.0 rouge-score==0.1.2 scipy; python golden.py > golden.json
"""

import json

from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF
from scipy.stats import kendalltau

# (hypothesis, two references); rouge takes the first as its target.
SEGMENTS = [
    ("The storm reached the harbour before noon.", ["The storm reached the harbour before noon.", "Before midday the storm was at the port."]),
    ("", ["Nothing was said.", ""]),
    ("She paid 1,250.50 dollars - or 3-4% more, e.g. for \"extras\".", ["She paid $1,250.50, i.e. 3-4 % more; for 'extras'.", "It cost 1,250.5 dollars (or 3-4% more)."]),
    ("Der Fluß trägt große Äste,  ÜBER die Brücke\u00a0hinaus …", ["Der Fluss trägt große Äste über die Brücke hinaus.", "Über die Brücke hinaus trägt der Fluß Äste!"]),
    ("the the the the the cat", ["the cat is on the mat", "there is a cat on the mat the size of the door"]),
    ("猫はマットの上に座った。", ["猫がマットの上に座っている。", "マットの上に猫が座った。"]),
    ("a", ["a", "b c"]),
    ("(well) -- it's over!! \"Really?\" he asked...  &quot;Yes&amp;no&quot; &lt;tag&gt;", ["Well, it's over! 'Really?' he asked. \"Yes & no\" <tag>", "(well) it is over; \"really\", he asks: yes/no"]),
    ("one two three", ["four five six", "seven"]),
    ("semi-\nnal words\nbreak \u00e9\u0301t\u00e9 \U0001f600\U0001f600 ok\x1cok", ["seminal words break été \U0001f600 okok", "words\u2003break"]),
    ("x .5 7.x 7,8 a.b.c ..,.. 9- -9 3.", ["x.5 7 .x 7,8 a. b.c .. ,.. 9 - -9 3", "x . 5"]),
    ("Children ran quickly.\nDogs barked at the running children.\nNobody slept.", ["Nobody slept while dogs barked.\nThe children ran.\n\nDogs barked at nobody.", "children\nran"]),
    ("'hello,' (she) [said] {and} left~ #1 @home a_b ^^", ["hello she said and left ~ # 1 at home", "'hello' (she said) [and left]"]),
]
HYPOTHESES = [h for h, _ in SEGMENTS]
STREAMS = [[r[i] for _, r in SEGMENTS] for i in range(2)]


def bleus():
    for tokens in ["13a", "none", "char"]:
        for smoothing, value in [("exp", None), ("floor", None), ("floor", 0.01), ("add-k", None), ("add-k", 0.5), ("none", None)]:
            for effective in [False, True]:
                for lowercase in [False, True]:
                    if lowercase and smoothing != "exp":
                        continue
                    bleu = BLEU(tokenize=tokens, smooth_method=smoothing, smooth_value=value, effective_order=effective, lowercase=lowercase, force=True)
                    corpus = bleu.corpus_score(HYPOTHESES, STREAMS)
                    yield {
                        "tokens": tokens,
                        "smoothing": smoothing,
                        "value": value,
                        "effective_order": effective,
                        "lowercase": lowercase,
                        "corpus": corpus.score,
                        "precisions": corpus.precisions,
                        "brevity": corpus.bp,
                        "lengths": [corpus.sys_len, corpus.ref_len],
                        "first_reference_only": bleu.corpus_score(HYPOTHESES, STREAMS[:1]).score,
                        "sentences": [bleu.sentence_score(h, r).score for h, r in SEGMENTS],
                    }


def chrfs():
    for word_order in [0, 2]:
        for beta in [1, 2]:
            for lowercase in [False, True]:
                chrf = CHRF(word_order=word_order, beta=beta, lowercase=lowercase)
                yield {
                    "words": word_order,
                    "beta": beta,
                    "lowercase": lowercase,
                    "corpus": chrf.corpus_score(HYPOTHESES, STREAMS).score,
                    "first_reference_only": chrf.corpus_score(HYPOTHESES, STREAMS[:1]).score,
                    "sentences": [chrf.sentence_score(h, r).score for h, r in SEGMENTS],
                }


def rouges():
    kinds = ["rouge1", "rouge2", "rouge3", "rougeL", "rougeLsum"]
    scorer = RougeScorer(kinds, use_stemmer=False)
    for kind in kinds:
        yield {
            "kind": kind,
            "first": [list(scorer.score(r[0], h)[kind]) for h, r in SEGMENTS],
            "best": [list(scorer.score_multi(r, h)[kind]) for h, r in SEGMENTS],
        }


def taus():
    for x, y in [([1, 2, 3, 4], [1, 3, 2, 4]), ([1, 1, 2, 3, 3], [2, 1, 1, 5, 5]), ([0.5, -1, 2, 2, 7, 3], [3, 3, 3, -2, 0, 1.5])]:
        yield {"x": x, "y": y, "tau": float(kendalltau(x, y).statistic)}


parts = {
    "segments": [{"hypothesis": h, "references": r} for h, r in SEGMENTS],
    "bleu": list(bleus()),
    "chrf": list(chrfs()),
    "rouge": list(rouges()),
    "kendall": list(taus()),
}
lines = lambda cases: ",\n".join(json.dumps(case) for case in cases)
print("{" + ",\n".join(f'"{name}": [\n{lines(cases)}]' for name, cases in parts.items()) + "}")
