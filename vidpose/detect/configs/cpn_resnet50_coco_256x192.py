# MMPose config: CPN with ResNet-50 on COCO, 256 x 192 (Chen et al., CVPR 2018).
# For ResNet-101: model.backbone.blocks = (3, 4, 23, 3) and init_cfg "torchvision://resnet101".

_base_ = ["mmpose::_base_/default_runtime.py"]
custom_imports = {"imports": ["vidpose.detect.cpn_mmpose"]}

train_cfg = {"max_epochs": 32, "val_interval": 4}
optim_wrapper = {"optimizer": {"type": "Adam", "lr": 5e-4, "weight_decay": 1e-5}}
param_scheduler = [{"type": "StepLR", "step_size": 6, "gamma": 0.5, "by_epoch": True}]
auto_scale_lr = {"base_batch_size": 32}
default_hooks = {"checkpoint": {"interval": 1, "save_best": "coco/AP", "rule": "greater"}}

codec = {"type": "CPNHeatmap", "input_size": (192, 256), "heatmap_size": (48, 64)}

model = {
    "type": "TopdownPoseEstimator",
    "data_preprocessor": {
        "type": "PoseDataPreprocessor",
        "mean": [122.7717, 115.9465, 102.9801],
        "std": [255, 255, 255],
        "bgr_to_rgb": True,
    },
    "backbone": {
        "type": "CPNResNet",
        "blocks": (3, 4, 6, 3),
        "init_cfg": {"type": "Pretrained", "checkpoint": "torchvision://resnet50"},
    },
    "neck": {"type": "CPNGlobalNet", "features": 256, "joints": 17},
    "head": {
        "type": "CPNHead",
        "features": 256,
        "joints": 17,
        "global_loss": {"type": "KeypointMSELoss", "use_target_weight": True, "loss_weight": 0.5},
        "refined_loss": {"type": "KeypointOHKMMSELoss", "use_target_weight": True, "topk": 8},
        "decoder": codec,
    },
    "test_cfg": {"flip_test": True},
}

# A tenth of the box more on each side, three twentieths above and below.
padding = (1.2, 1.3)

train_pipeline = [
    {"type": "LoadImage"},
    {"type": "CPNVisibility"},
    {"type": "GetBBoxCenterScale", "padding": padding},
    {"type": "RandomFlip", "direction": "horizontal"},
    {
        "type": "RandomBBoxTransform",
        "shift_prob": 0,
        "scale_factor": (0.7, 1.35),
        "rotate_factor": 45,
        "rotate_prob": 1,
    },
    {"type": "CPNAffine", "input_size": codec["input_size"]},
    {"type": "YOLOXHSVRandomAug"},
    {"type": "GenerateTarget", "encoder": codec},
    {"type": "PackPoseInputs"},
]
val_pipeline = [
    {"type": "LoadImage"},
    {"type": "GetBBoxCenterScale", "padding": padding},
    {"type": "CPNAffine", "input_size": codec["input_size"]},
    {"type": "PackPoseInputs"},
]

data_root = "data/coco/"
train_dataloader = {
    "batch_size": 32,
    "num_workers": 4,
    "persistent_workers": True,
    "sampler": {"type": "DefaultSampler", "shuffle": True},
    "dataset": {
        "type": "CocoDataset",
        "data_root": data_root,
        "data_mode": "topdown",
        "ann_file": "annotations/person_keypoints_train2017.json",
        "data_prefix": {"img": "train2017/"},
        "pipeline": train_pipeline,
    },
}
val_dataloader = {
    "batch_size": 32,
    "num_workers": 4,
    "persistent_workers": True,
    "drop_last": False,
    "sampler": {"type": "DefaultSampler", "shuffle": False, "round_up": False},
    "dataset": {
        "type": "CocoDataset",
        "data_root": data_root,
        "data_mode": "topdown",
        "ann_file": "annotations/person_keypoints_val2017.json",
        "data_prefix": {"img": "val2017/"},
        "test_mode": True,
        "pipeline": val_pipeline,
    },
}
test_dataloader = val_dataloader
val_evaluator = {
    "type": "CocoMetric",
    "ann_file": data_root + "annotations/person_keypoints_val2017.json",
}
test_evaluator = val_evaluator
