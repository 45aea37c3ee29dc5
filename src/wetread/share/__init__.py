"""Hand out images and results to those who ask.

In: a question in the words of a protocol, the store's catalogue.  Out: what answers it, in the same words.
Never: who may ask (the doors know); a study read, changed or sent by itself.
"""
