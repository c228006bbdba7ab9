"""Turn text files into the tokens that GPT's pretext task reads.

Learns a vocabulary from the text, or takes that of a tokenizer of your own::

    python tools/prepare_text.py books/ --out data/books --vocab-size 10000
    python tools/prepare_text.py books/ --out data/books --tokenizer gpt/

Both write data/books/tokens.bin and data/books/tokenizer.json.
Nothing is downloaded.
"""

import argparse

from bissl_mm.command_line import run_tool


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'source', metavar='TEXT', help='a text file in UTF-8, or a folder with such'
    )
    parser.add_argument('--out', required=True, help='folder that is written')
    parser.add_argument(
        '--tokenizer', help='tokenizer.json, or a folder with vocab.json and merges.txt'
    )
    parser.add_argument(
        '--vocab-size',
        type=int,
        default=10000,
        help='tokens that are learned without --tokenizer; default: 10000',
    )
    parser.add_argument(
        '--pattern', default='*.txt', help='names of the files; default: *.txt'
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    from bissl_mm.text.prepare import prepare_text

    vocabulary, tokens = prepare_text(
        args.source, args.out, args.tokenizer, args.vocab_size, args.pattern
    )
    print(
        f"Written to '{args.out}': {tokens} tokens of a vocabulary of {vocabulary}. "
        f'Before you train, type export BISSL_VOCAB_SIZE={vocabulary}'
    )


if __name__ == '__main__':
    run_tool(main)
