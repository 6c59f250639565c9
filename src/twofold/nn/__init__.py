"""Encoders: each name here is a builder that a recipe may call, `encoder = "resnet18"`. One file an architecture."""

from twofold.nn.aligned_gradients import aligned_gradients
from twofold.nn.bert import minilm
from twofold.nn.clips import clip_average, clip_lstm
from twofold.nn.cnn import conv4, koch, vgg11, vgg16
from twofold.nn.efficientnet import efficientnet_lite0
from twofold.nn.face_resnet import face_resnet
from twofold.nn.hugging_face import hugging_face
from twofold.nn.hugging_face_pictures import hugging_face_pictures
from twofold.nn.keywords import speech_cnn
from twofold.nn.mlp import identity, linear, mlp
from twofold.nn.onnx_model import onnx_model
from twofold.nn.random_convolutions import random_convolutions
from twofold.nn.resnet import resnet18, resnet34, resnet50, resnet_small
from twofold.nn.sequences import bag, gru, lstm, text_cnn, transformer
from twofold.nn.series_cnn import cnn_lstm, fcn_1d, inception_time
from twofold.nn.sketches import sketch
from twofold.nn.speakers import ge2e, tdnn
from twofold.nn.timm_pictures import timm
from twofold.nn.vit import vit
from twofold.nn.whitened_levels import whitened_levels
from twofold.nn.whitened_places import whitened_places
from twofold.nn.word_frames import word_frames

__all__ = [
    "aligned_gradients",
    "bag",
    "clip_average",
    "clip_lstm",
    "cnn_lstm",
    "conv4",
    "efficientnet_lite0",
    "face_resnet",
    "fcn_1d",
    "ge2e",
    "gru",
    "hugging_face",
    "hugging_face_pictures",
    "identity",
    "inception_time",
    "koch",
    "linear",
    "lstm",
    "minilm",
    "mlp",
    "onnx_model",
    "random_convolutions",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet_small",
    "sketch",
    "speech_cnn",
    "tdnn",
    "text_cnn",
    "timm",
    "transformer",
    "vgg11",
    "vgg16",
    "vit",
    "whitened_levels",
    "whitened_places",
    "word_frames",
]
