"""Text into numbers, offline: WordPiece tokens, a BERT-type encoder, sentence vectors."""
